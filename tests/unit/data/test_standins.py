"""Cards of registries tell nothing of few patients; stand-ins made from cards have what the cards tell, and nobody in them."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import pytest

from huizhen.clock import ManualClock
from huizhen.data.card import describe
from huizhen.data.connectors.options import OPTIONS
from huizhen.data.events.schema import Batch, Changes, Event
from huizhen.data.events.store import Registry
from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.data.registrycard import registry_card
from huizhen.data.synthetic.signals import electrocardiogram
from huizhen.data.synthetic.tables import columns
from huizhen.data.synthetic.volumes import chest
from huizhen.embedded.standins import Wanted, read_card, write_standins
from huizhen.errors import CallerError, MachineError
from huizhen.site.publishing import card_of_registry
from registries import NOW, synced

CLOCK = ManualClock()


@pytest.fixture
def folder(tmp_path):
    """A site with 100 patients: a rare diagnosis, one that nearly all have, creatinine, reports, CT."""
    root = tmp_path / "site"
    root.mkdir()
    (root / "site.toml").write_text('[site]\nname = "a"\n')
    rng = np.random.default_rng(1)
    events = []
    for n in range(100):
        who, day = f"p{n:03}", datetime(2010 + n // 10, 3, 1)
        events.append(Event(who, "person", f"person/{who}", text="female", begins=datetime(1950, 1, 1)))
        codes = ["I10"] * (n < 98) + ["E11"] * (n < 60) + ["PLANTED-RARE"] * (n < 4)
        events += [Event(who, "condition", f"{code}/{who}", "ICD10", code, begins=day) for code in codes]
        for i in range(2):
            value = float(rng.normal(80, 10))
            events.append(
                Event(who, "measurement", f"m{i}/{who}", "LOINC", "2160-0", "Creatinine", value, unit="umol/L", begins=day)
            )
        if n < 40:
            events.append(Event(who, "image", f"ct/{who}", "DICOM", "CT", "CHEST", 60.0, f"PLANTED/{who}", begins=day))
            events.append(Event(who, "report", f"r/{who}", "LOINC", "34117-2", text="PLANTED text " * 20, begins=day))
    Registry(root / "registry").sync("a", Changes([Batch(events, len(events), cursor=1)]), now=NOW)
    return root


def test_a_card_tells_codes_that_enough_patients_have_and_no_rarer_one(folder):
    card = card_of_registry(folder)
    assert card.patients == 100
    assert {(one.code, one.patients) for one in card.codes} == {("E11", 60), ("2160-0", 100), ("CT", 40), ("34117-2", 40)}
    assert card.modalities == ("CT",)  # of I10 all but two have it: it is not told either
    told = json.dumps(card.to_dict())
    assert "PLANTED" not in told
    assert "p00" not in told


def test_years_and_bounds_have_enough_patients_beyond_them(folder):
    card = card_of_registry(folder)
    kinds = {one.kind: one for one in card.kinds}
    assert (kinds["measurement"].first, kinds["measurement"].last) == (2010, 2019)
    assert kinds["measurement"].with_unit == kinds["condition"].timed == 1.0
    assert kinds["condition"].patients is None  # all but two have one
    (creatinine,) = (one for one in card.codes if one.code == "2160-0")
    assert 60 < creatinine.low < 75 < 85 < creatinine.high < 100
    assert creatinine.per_patient == 2.0


def test_numbers_on_a_card_are_rounded_as_the_policy_says(folder):
    (folder / "site.toml").write_text('[site]\nname = "a"\n[policy]\nround_to = 25\n')
    card = card_of_registry(folder)
    assert {one.patients for one in card.codes} == {50, 100}


def test_of_too_few_patients_nothing_is_told(tmp_path):
    (tmp_path / "site.toml").write_text('[site]\nname = "a"\n')
    card = card_of_registry(tmp_path)
    assert (card.patients, card.kinds, card.codes) == (None, (), ())
    assert "nothing is told" in card.note


def test_bundles_from_a_card_become_a_registry_with_nearly_the_same_card(folder, tmp_path):
    card = json.loads(json.dumps(card_of_registry(folder).to_dict()))
    card["modalities"] = []
    (written,) = write_standins(card, tmp_path / "out", Wanted(rows=200))
    registry = Registry(tmp_path / "site2" / "registry")
    report = synced(registry, tmp_path, kind="fhir", path=str(written))
    assert report.refused == {}
    (tmp_path / "site2" / "site.toml").write_text('[site]\nname = "b"\n')
    again = {one.code: one for one in card_of_registry(tmp_path / "site2").codes}
    assert again["2160-0"].unit == "umol/L"
    assert again["2160-0"].patients == 200
    assert 100 < again["E11"].patients < 140  # 60 in 100
    assert "fhir" in OPTIONS


def test_a_table_from_a_card_has_its_columns_kinds_shares_and_ranges(tmp_path):
    rng = np.random.default_rng(2)
    age = np.where(rng.random(2000) < 0.2, np.nan, rng.normal(60, 10, 2000))
    table = Examples({"age": Numbers(age), "sex": Categories((rng.random(2000) < 0.3).astype(np.int32), ("F", "M"))}, 2000)
    card = json.loads(json.dumps(describe(table, name="t").to_dict()))
    cells = columns(card["variables"], 2000, rng)
    assert list(cells) == ["age", "sex"]
    made = np.array([float(cell) for cell in cells["age"] if cell])
    assert made.mean() == pytest.approx(60, abs=2)
    assert made.std() == pytest.approx(10, abs=2)
    assert cells["age"].count("") == pytest.approx(400, abs=80)
    assert cells["sex"].count("M") == pytest.approx(600, abs=100)


@pytest.mark.parametrize("kind", ["number", "category", "date", "identifier", "text"])
def test_a_column_of_which_a_card_tells_nothing_is_still_made(kind):
    cells = columns([{"name": "x", "kind": kind, "levels": {}}], 20, np.random.default_rng(0))
    assert len(cells["x"]) == 20
    assert all(cells["x"])


def test_images_of_a_card_have_its_shape_and_stored_type(tmp_path):
    variables = [
        {"name": "scan", "kind": "image", "shape": [1, 8, 8], "stored": "int16", "levels": {}},
        {"name": "label", "kind": "category", "levels": {"no": 3, "yes": 1}},
    ]
    (path,) = write_standins({"rows": 12, "variables": variables}, tmp_path / "out", Wanted())
    with np.load(path, allow_pickle=False) as made:
        assert (made["scan"].shape, made["scan"].dtype, made["label"].shape) == ((12, 1, 8, 8), np.int16, (12,))


def test_the_same_seed_makes_the_same_files_and_another_one_others(tmp_path):
    card = {"rows": 30, "variables": [{"name": "x", "kind": "number", "levels": {}, "low": 0, "high": 9}]}
    made = [write_standins(card, tmp_path / f"{i}", Wanted(seed=seed))[0].read_bytes() for i, seed in enumerate((1, 1, 2))]
    assert made[0] == made[1] != made[2]


def test_nothing_is_overwritten_and_what_is_no_card_is_told(tmp_path):
    card = {"rows": 3, "variables": []}
    with pytest.raises(CallerError, match="there already"):
        write_standins(card, tmp_path, Wanted())
    with pytest.raises(CallerError, match="too few"):
        write_standins({"rows": None, "variables": []}, tmp_path / "new", Wanted())
    for text in ("[]", "{", '{"rows": 3, "variables": [{"name": "x", "kind": "moon", "levels": {}}]}', '{"registry": 1}'):
        (tmp_path / "card.json").write_text(text)
        with pytest.raises(CallerError, match="no card"):
            read_card(tmp_path / "card.json")
    with pytest.raises(MachineError):
        read_card(tmp_path / "none.json")


def test_a_chest_has_air_lungs_tissue_and_nodules_where_its_labels_are():
    volume, labels = chest((24, 48, 48), 2, np.random.default_rng(4))
    assert volume[0, 0, 0] < -900
    assert volume[12, 24, 14] < -750  # within a lung
    assert -50 < volume[12, 24, 24] < 130  # between them
    assert volume[labels == 1].mean() == pytest.approx(20, abs=10)
    assert not chest((24, 48, 48), 0, np.random.default_rng(4))[1].any()


def test_a_series_can_be_read_back_and_synchronised(tmp_path):
    pydicom = pytest.importorskip("pydicom", reason="install it: pip install 'huizhen[registry]'")
    card = {"registry": 1, "patients": 10, "kinds": [], "codes": [], "modalities": ["CT"]}
    _, written = write_standins(card, tmp_path / "out", Wanted(rows=1, volumes=2, side=32))
    slices = sorted((written / "standin-000000").iterdir())
    read = pydicom.dcmread(slices[0])
    assert len(slices) == 16
    pixels = np.frombuffer(read.PixelData, "<u2").reshape(read.Rows, read.Columns) * read.RescaleSlope + read.RescaleIntercept
    assert pixels.min() >= -1024
    assert pixels[0, 0] < -900
    report = synced(Registry(tmp_path / "registry"), tmp_path, kind="dicom", path=str(written))
    assert (report.new, report.refused) == (2, {})


def test_a_signal_beats_as_often_as_a_heart():
    signal = electrocardiogram(30.0, 250, 2, np.random.default_rng(0))
    assert (signal.shape, signal.dtype) == ((2, 7500), np.float32)
    lead = np.abs(signal[0] - np.median(signal[0]))
    high = lead > 0.6 * lead.max()
    beats = int((high[1:] & ~high[:-1]).sum())
    assert 20 <= beats <= 60  # 55 to 95 a minute for half a minute, a beat may cross the line twice


def test_a_registry_card_of_exact_facts_withholds_what_follows_by_subtraction():
    from huizhen.data.registrycard import Facts

    rows = [("visit", 300, 97, 300, 300, 0, 0, None), ("drug", 50, 40, 50, 50, 0, 0, None)]
    card = registry_card("a", Facts(100, rows, [], []), min_cell_count=5, min_rows=10, round_to=1)
    assert [(one.kind, one.patients) for one in card.kinds] == [("visit", None), ("drug", 40)]
