"""A node's gradient and Hessian over its own rows."""

import csv

import numpy as np
from flwr.app import ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    with open(str(context.node_config["rows"])) as file:
        rows = [(1.0, float(row["age"]), float(row["lab"]), float(row["smoker"])) for row in csv.DictReader(file)]
    table = np.array(rows)
    inputs, outcome = table[:, :3], table[:, 3]
    (weights,) = message.content["weights"].to_numpy_ndarrays()
    expected = 1 / (1 + np.exp(-(inputs @ weights)))
    gradient = inputs.T @ (outcome - expected)
    hessian = inputs.T @ (inputs * (expected * (1 - expected))[:, None])
    return Message(content=RecordDict({"sums": ArrayRecord([gradient, hessian])}), reply_to=message)
