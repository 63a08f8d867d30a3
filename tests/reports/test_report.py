"""The page of results."""

import re
from pathlib import Path

import pytest

import nalm
from nalm.errors import NalmError


def test_the_page_shows_every_experiment_with_its_table_and_its_figure(results: Path, tmp_path: Path) -> None:
    page, picture = nalm.report(results, tmp_path / "out" / "results.md")
    text = page.read_text(encoding="utf-8")
    assert picture == tmp_path / "out" / "figures" / "tiny.png"
    assert picture.stat().st_size > 1000
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["tiny"]
    assert "(figures/tiny.png)" in text
    assert nalm.__version__ in text
    summary = nalm.load(results).summary()
    for variant in ("NMRU", "NRU"):
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {variant} |")]
        rows = summary[summary["variant"] == variant]
        total = rows[rows["task"].isna()].iloc[0]
        assert f"| {total.solved}/{total.runs} |" in row
        assert [int(cell) for cell in row.split("|")[5:-1]] == rows[rows["task"].notna()]["solved"].tolist()


def test_labels_cannot_break_the_tables(results: Path, tmp_path: Path) -> None:
    path = results / "experiments" / "tiny.json"
    path.write_text(path.read_text().replace('"NMRU": {', '"a|b": {', 1))
    page, _ = nalm.report(results, tmp_path / "results.md")
    assert r"| a\|b |" in page.read_text(encoding="utf-8")


def test_a_page_with_another_suffix_is_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(NalmError, match=r"found '\.doc' in .*, expected \.html or \.md"):
        nalm.report(results, tmp_path / "page.doc")


def test_a_page_that_cannot_be_written_is_one_sentence(results: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NalmError, match="cannot write"):
        nalm.report(results, tmp_path / "file" / "results.md")


def test_published_numbers_are_shown_beside_ours(tmp_path: Path) -> None:
    redundancy = nalm.load_experiment("redundancy").narrowed(seeds=[0], variants=["NMRU"])
    nalm.run(redundancy.changed({"iterations": 1}), tmp_path / "results", workers=0, compiled=False)
    page, _ = nalm.report(tmp_path / "results", tmp_path / "results.md")
    (row,) = [line for line in page.read_text(encoding="utf-8").splitlines() if "206/225" in line]
    assert row.startswith("| NMRU | all | 0/9 | 206/225 = 91.6% [A] | -91.6% [")
    assert row.endswith("| differs |")


def test_gold_errors_are_a_table_with_their_difference_from_the_published_errors(results: Path, tmp_path: Path) -> None:
    nalm.reproduce("figure-5", results)
    page, *pictures = nalm.report(results, tmp_path / "results.md")
    text = page.read_text(encoding="utf-8")
    assert [path.name for path in pictures] == ["figure-5.png", "tiny.png"]
    rows = [line for line in text.splitlines() if line.startswith("| RealNPU |")]
    assert [row.split(" | ")[1] for row in rows] == ["easy", "medium", "hard"]
    assert all(float(row.split("|")[-2]) < 1e-3 for row in rows)
