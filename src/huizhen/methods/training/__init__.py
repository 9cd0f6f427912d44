"""A network's weights on a site's own rows: training, prediction, and many small sites at once.

The methods' own: only `huizhen.methods` enters.
"""

from huizhen.methods.networks import Network
from huizhen.methods.training.learner import Learner, Trained, learner_of
from huizhen.methods.training.many import average_many, site_seeds, train_many
from huizhen.methods.training.privately import train_privately
from huizhen.methods.training.recipe import Private, Recipe
from huizhen.methods.training.spending import Spending, privacy_events
from huizhen.methods.training.together import Sites, TrainedTogether

__all__ = [
    "Learner",
    "Network",
    "Private",
    "Recipe",
    "Sites",
    "Spending",
    "Trained",
    "TrainedTogether",
    "average_many",
    "learner_of",
    "privacy_events",
    "site_seeds",
    "train_many",
    "train_privately",
]
