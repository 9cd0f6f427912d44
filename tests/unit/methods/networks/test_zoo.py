"""Every network builds for the inputs it reads, learns a step, costs what its paper says, and refuses the rest in plain words."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.canonical import decode, encode
from huizhen.errors import MachineError, StudyError
from huizhen.methods.networks import Network, build, describe, in_memory, kind, names

torch = pytest.importorskip("torch")

SMALL = [
    ("logistic", (13,), {}),
    ("logistic", (1, 4, 4), {}),
    ("mlp", (30,), {"widths": [16, 8], "activation": "tanh", "dropout": 0.5}),
    ("mlp", (30,), {"norm": "batch"}),
    ("mlp", (2, 3, 4, 5), {"norm": "layer"}),
    ("small_cnn", (1, 12, 9), {"widths": [4, 8]}),
    ("small_cnn", (2, 8, 8), {"widths": [4], "norm": "batch"}),
    ("small_cnn", (1, 8, 8, 8), {"widths": [4, 6], "norm": "none"}),
    ("resnet", (1, 28, 28), {}),
    ("resnet", (3, 8, 8), {"stem": "small", "norm": "group"}),
    ("resnet3d", (1, 8, 8, 8), {}),
    ("densenet", (1, 29, 29), {"norm": "group"}),
    ("vgg", (1, 32, 32), {"depth": 11, "hidden": []}),
    ("swin", (1, 28, 28), {"width": 8, "depths": [2, 2], "heads": [2, 4], "window": 3, "patch": 2}),
    ("swin", (1, 9, 8, 7), {"width": 8, "depths": [1, 2], "heads": [2, 4], "window": 2, "patch": 2, "drop_path": 0.1}),
]


@pytest.mark.parametrize(("name", "inputs", "given"), SMALL)
def test_a_network_gives_its_outputs_for_a_row_and_every_weight_has_a_gradient(name, inputs, given):
    torch.manual_seed(0)
    module = build(Network(name, inputs, 3, given)).train()
    found = module(torch.randn(4, *inputs))
    assert found.shape == (4, 3)
    found.square().sum().backward()
    assert all(each.grad is not None and torch.isfinite(each.grad).all() for each in module.parameters())


@pytest.mark.parametrize(
    ("space", "given"), [((50, 41), {"widths": [4, 8, 8]}), ((9, 12, 10), {"widths": [4, 8], "norm": "batch"})]
)
def test_a_unet_gives_its_outputs_for_every_pixel_of_an_image_of_any_size(space, given):
    module = build(Network("unet", (1, *space), 3, given))
    assert module(torch.randn(2, 1, *space)).shape == (2, 3, *space)
    assert kind("unet").dense_output


# Published numbers of parameters for 1,000 classes of images 224 x 224: torchvision's models of the same papers; Liu et al. 2021.
PUBLISHED = [
    ("resnet", {"depth": 18}, 11_689_512),
    ("resnet", {"depth": 34}, 21_797_672),
    ("resnet", {"depth": 50}, 25_557_032),
    ("densenet", {"depth": 121}, 7_978_856),
    ("vgg", {"depth": 16, "norm": "none", "pooled": 7, "hidden": [4096, 4096]}, 138_357_544),
    ("swin", {}, 28_288_354),
]


@pytest.mark.parametrize(("name", "given", "parameters"), PUBLISHED)
def test_a_network_has_the_parameters_of_the_published_one(name, given, parameters):
    assert describe(name, (3, 224, 224), 1000, given).parameters == parameters


def test_the_deepest_networks_are_described_without_memory_for_them():
    deep = describe("densenet", (1, 64, 64, 64), 2, {"depth": 264})
    assert deep.parameters > 30e6
    assert deep.operations > 1e10


def test_operations_are_two_for_every_multiply_add():
    assert describe("mlp", (30,), 1, {"widths": [16]}).operations == 2 * (30 * 16 + 16)


LARGE = [
    ("mlp", (2,), {"widths": [1_000_000, 1_000_000]}, "found 1,000,006,000,002 numbers to keep, expected at most 2,000,000,000"),
    ("mlp", (2**30,), {"widths": [2**20, 2**20]}, "numbers to keep, expected at most 2,000,000,000"),
    ("mlp", (2**62,), {}, "found more numbers to keep than can be counted, expected at most 2,000,000,000"),
    ("swin", (1, 64, 64, 64), {"patch": 1, "window": 64}, "numbers to keep, expected at most 2,000,000,000"),
    (
        "mlp",
        (2,),
        {"widths": [2**70]},
        "network.mlp.widths[1]: found 1180591620717411303424, expected less than or equal to 1048576",
    ),
    ("mlp", (2,), {"widths": [4] * 5000}, "expected Tuple should have at most 256 items after validation, not 5000"),
]


@pytest.mark.parametrize(("name", "inputs", "given", "said"), LARGE)
def test_a_network_beyond_any_memory_is_refused_in_words_before_it_is_built(name, inputs, given, said):
    with pytest.raises(StudyError) as caught:
        build(Network(name, inputs, 2, given))
    assert said in str(caught.value)
    assert len(caught.value.problems) == 1


def test_a_network_that_memory_does_not_hold_is_told_by_its_name():
    said = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"  # as torch says it
    with pytest.raises(MachineError, match=r"network.mlp: found too little memory for its weights"), in_memory("mlp"):
        raise RuntimeError(said)
    with pytest.raises(RuntimeError, match="another"), in_memory("mlp"):
        raise RuntimeError("another")


REFUSED = [
    ("densenet", (1, 28, 28), {}, "an image of 1 x 28 x 28, expected at least an image of 1 x 29 x 29"),
    ("small_cnn", (1, 4, 20), {}, "expected at least an image of 1 x 8 x 20"),
    ("vgg", (3, 31, 31), {}, "expected at least an image of 3 x 32 x 32"),
    ("unet", (1, 1, 1), {}, "expected at least an image of 1 x 9 x 9"),
    ("resnet", (13,), {}, "a row of 13 features, expected an image (channel, height, width)"),
    ("resnet3d", (1, 16, 16), {}, "expected an image (channel, depth, height, width)"),
]


@pytest.mark.parametrize(("name", "inputs", "given", "said"), REFUSED)
def test_inputs_that_a_network_cannot_read_are_refused_with_the_smallest_that_it_can(name, inputs, given, said):
    with pytest.raises(StudyError) as caught:
        build(Network(name, inputs, 2, given))
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["small_cnn", "unet"])
def test_the_smallest_image_is_read_and_a_smaller_one_is_not(name):
    edge = {"small_cnn": 8, "unet": 9}[name]
    describe(name, (1, edge, edge), 2, {})
    with pytest.raises(StudyError, match="does not suit"):
        describe(name, (1, edge - 1, edge - 1), 2, {})


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        (
            "mlp",
            {"width": 3},
            "network.mlp.width: found a key that is not known, expected one of: widths, activation, norm, dropout",
        ),
        ("mlp", {"dropout": 1.0}, "network.mlp.dropout: found 1.0, expected less than 1"),
        ("resnet", {"depth": 20}, "network.resnet.depth: found 20, expected 18, 34, 50, 101 or 152"),
        ("swin", {"heads": [3]}, "one number for each stage"),
    ],
)
def test_settings_that_are_not_known_are_refused(name, given, said):
    with pytest.raises(StudyError) as caught:
        describe(name, (1, 64, 64), 1, given)
    assert said in str(caught.value)


def test_a_name_that_nobody_offers_is_refused_with_those_that_there_are():
    with pytest.raises(MachineError, match="densenet, logistic, mlp"):
        kind("perceptron")
    assert set(names()) >= {name for name, _, _ in SMALL} | {"unet"}


def test_without_torch_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MachineError, match=r"pip install 'huizhen\[networks\]'"):
        build(Network("logistic", (3,), 1))


@settings(deadline=None)
@given(
    st.sampled_from(["mlp", "unet"]),
    st.lists(st.integers(1, 64), min_size=1, max_size=4),
    st.integers(1, 9),
    st.dictionaries(st.text(), st.integers() | st.lists(st.integers(-5, 5)) | st.text()),
)
def test_a_network_is_the_same_after_its_facts_are_encoded(name, inputs, outputs, given):
    network = Network(name, tuple(inputs), outputs, given)
    again = Network.from_facts(decode(encode(network.facts())))
    assert again == network
    assert hash(again) == hash(network)


@pytest.mark.parametrize("name", ["resnet", "densenet", "unet", "swin"])
def test_without_monai_the_error_names_the_extra(monkeypatch, name):
    for each in [each for each in sys.modules if each.partition(".")[0] == "monai"]:
        monkeypatch.delitem(sys.modules, each)
    monkeypatch.setitem(sys.modules, "monai", None)
    for made in (build, lambda network: describe(network.name, network.inputs, network.outputs, network.settings)):
        with pytest.raises(MachineError, match=r"monai: found not installed.*pip install 'huizhen\[networks\]'"):
            made(Network(name, (1, 64, 64), 1))
