"""The bill of materials names all that is in the wheel and all that it needs, and a wheel with it is whole."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import zipfile
from pathlib import Path

import advisories
import check_wheel
import pytest
import sbom

ROOT = Path(__file__).resolve().parents[2]


def test_it_names_every_requirement_with_its_versions() -> None:
    components = {each["name"]: each for each in sbom.sbom()["components"]}
    groups = advisories.requirements()
    for group in groups.keys() - {"dev", "docs"}:
        for each in groups[group]:
            found = components[advisories.canonicalize_name(each.name)]
            assert found["isExternal"]
            assert set(found["versionRange"].removeprefix("vers:pypi/").split("|")) == {
                str(one).removeprefix("==") for one in each.specifier
            }
            assert group == "" or {"name": "oddroad:extra", "value": group} in found["properties"]
    assert components["numpy"]["scope"] == "required"
    assert components["torch"]["scope"] == "optional"


def test_it_names_weights_and_recordings_with_terms_and_hashes() -> None:
    packed = {each["bom-ref"]: each for each in sbom.sbom()["components"] if not each.get("isExternal")}
    large = [path for path in (ROOT / "src").rglob("*.*") if path.stat().st_size > 100_000 and path.suffix != ".pyc"]
    assert len(large) >= 4
    for path in large:
        found = packed[path.relative_to(ROOT / "src").as_posix()]
        assert found["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}]
        assert found["licenses"][0]["license"].get("id") or "non-commercial" in found["licenses"][0]["license"]["name"]


def test_it_is_the_same_each_time_and_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert sbom.text() == sbom.text()
    references = [each["bom-ref"] for each in sbom.sbom()["components"]]
    assert len(references) == len(set(references))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1764288000")
    assert sbom.sbom()["metadata"]["timestamp"] == "2025-11-28T00:00:00+00:00"
    validation = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion

    try:
        wrong = validation.JsonStrictValidator(SchemaVersion.V1_7).validate_str(sbom.text())
    except Exception as error:  # its optional parts are not installed
        pytest.skip(str(error))
    assert wrong is None


def test_a_file_that_is_added_to_a_wheel_is_recorded(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77")
    import build_backend

    wheel = tmp_path / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a/b.py", "x = 1\n")
        archive.writestr("a-1.dist-info/RECORD", "a/b.py,sha256=x,6\na-1.dist-info/RECORD,,\n")
    build_backend.add_file(wheel, "sboms/oddroad.cdx.json", b"{}")
    assert [each.name for each in tmp_path.iterdir()] == [wheel.name]
    with zipfile.ZipFile(wheel) as archive:
        assert json.loads(archive.read("a-1.dist-info/sboms/oddroad.cdx.json")) == {}
        assert archive.read("a/b.py") == b"x = 1\n"
        rows = list(csv.reader(io.StringIO(archive.read("a-1.dist-info/RECORD").decode())))
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"{}").digest()).rstrip(b"=").decode()
    assert ["a-1.dist-info/sboms/oddroad.cdx.json", f"sha256={digest}", "2"] in rows
    assert len({row[0] for row in rows}) == 3


def test_a_wheel_that_lacks_a_file_or_holds_another_is_wrong(tmp_path: Path) -> None:
    wheel = tmp_path / "a-1-py3-none-any.whl"
    bill = json.dumps({"components": [{"bom-ref": "a/w.onnx", "hashes": [{"alg": "SHA-256", "content": "0"}]}]})
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a/b.py", "x = 1\n")
        archive.writestr("a-1.dist-info/sboms/oddroad.cdx.json", bill)
        archive.writestr("a-1.dist-info/RECORD", "a/b.py,sha256=x,6\n")
    found = check_wheel.wrong(wheel, {"a/c.py"})
    assert found == [
        "lacks a/c.py",
        "holds a/b.py, which is no file of the package",
        "a-1.dist-info/sboms/oddroad.cdx.json is not what RECORD says",
        "a/b.py is not what RECORD says",
        "a/w.onnx is not what the bill of materials says",
    ]
    assert len(check_wheel.packaged()) > 300
