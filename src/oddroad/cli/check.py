"""The verb ``check``."""

from __future__ import annotations

from typing import Annotated

import tyro

from oddroad.cli.common import JsonTo, say, write_json


def check(model: Annotated[str, tyro.conf.Positional] = "default", json: JsonTo = None) -> None:
    """Check that a detector's file is whole and that each engine computes with it what it should.

    Example: oddroad check my_detector.onnx

    The digest in the card is compared with the file, then a picture that is the same everywhere is run by each engine
    that is installed and compared with the scores that the card keeps of it. Exit code 1 if something differs.

    Args:
        model: an oddroad .onnx file, "default" for the embedded detector, "default-fp32" for it in float32,
            "accurate" for the slower one of larger sizes, an address or hf:ORG/NAME; each with @sha256:... or without.
        json: the result as JSON: printed, or into FILE.
    """
    import importlib.util
    from dataclasses import asdict

    from oddroad.inference.engines import ENGINES
    from oddroad.inference.model import find_model
    from oddroad.inference.self_test import compare

    path = find_model(model)
    installed = [name for name in ENGINES if importlib.util.find_spec(name) is not None]
    checks = [each for engine in installed for each in compare(path, engine)]
    tell = print if json is None else say
    tell(f"{path.name}: the file is what was exported")
    for each in checks:
        tell(
            f"{each.engine:<12} {each.score:<16} off by {each.deviation:.2g} standard deviations, "
            f"{each.tolerance:g} allowed: {'good' if each.passed else 'WRONG'}"
        )
    for name in ENGINES:
        if name not in installed:
            say(f"{name:<12} not installed, not checked")
    write_json(json, [asdict(each) | {"passed": each.passed} for each in checks], indent=1)
    if not all(each.passed for each in checks):
        say("use another --engine, or another version of the one that is wrong")
        raise SystemExit(1)
