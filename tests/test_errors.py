"""Numbers in words: nothing prints "1 frames"."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import oddroad
from oddroad.errors import counted

SOURCE = Path(oddroad.__file__).parent
THINGS = (
    "alarm|block|byte|channel|clip|core|detector|drive|file|finding|frame|group|hit|hour|image|layer|log|message|minute|"
    "name|output|parameter|part|picture|pixel|place|point|region|row|scene|second|segment|sequence|source|tensor|thing|"
    "thread|value|worker"
)
PLURAL = rf" (?:(?!(?:of|with|gives|has|is) )[a-z]+ )?(?:{THINGS})s\b"

NEVER_ONE = (
    "{len(drives)} drives calibrated", "{len(voids)} void outputs", "{size} things", "{self.damaged} frames are",
    "{len(models)} detectors", "{len(found)} sources are listed", "{in_100(",
    "{len(self.views)} sources are being", "{height} pixels", "{found['warm_up_frames']} frames",
    "{len(bench.images)} training scenes", "{published} images", "{len(samples)} images of",
    "{len(names)} detectors; name", "{most} bytes that",
    "{ending} files", "{counts.read or 'its'} frames", "{bench.RENDERED} frames", "{100 * self.cost(candidate)} points",
    "{image.dtype} values", "{there} bytes follow", "{opened.height} pixels", "{expected} messages", "{size} bytes",
)  # fmt: skip
"""What is printed with a plural all the same, as 1 is said in another way or cannot be."""


def phrases(tree: ast.AST) -> Iterator[str]:
    """Of all f-strings, each value that is no constant and is followed by words: "{value} words"."""
    for node in ast.walk(tree):
        for value, words in pairwise(node.values) if isinstance(node, ast.JoinedStr) else ():
            if isinstance(value, ast.FormattedValue) and isinstance(words, ast.Constant):
                written = ast.unparse(value.value)
                if not written.isupper() and not written.startswith("counted("):
                    yield f"{{{written}}}{words.value}"


def test_numbers_of_things_are_written_by_one_function():
    found = []
    for path in SOURCE.rglob("*.py"):
        text = path.read_text()
        said = [each for each in phrases(ast.parse(text)) if re.search(rf"^\{{.*\}}{PLURAL}", each)]
        found += [f"{path.name}: {each}" for each in said if not each.startswith(NEVER_ONE)]
        found += re.findall(r""".*['"]s['"] (?:\*|if) .*""", text)
    assert not found, "\n".join(found)


def test_numbers_of_things_are_written_by_one_function_on_the_page_too():
    found = []
    for path in (SOURCE / "web" / "page").glob("*.js"):
        text = path.read_text()
        said = re.findall(rf"\$\{{[^{{}}]*\}}{PLURAL}", text)
        found += [f"{path.name}: {each}" for each in said if not each.startswith("${in100(")]
        found += [] if path.name == "numbers.js" else re.findall(r""".*\? "s" : "".*|.*\? "" : "s".*""", text)
    assert not found, "\n".join(found)


def test_one_is_what_is_written_as_one():
    assert [counted(number, "hour", ".3g") for number in (1, 0.9999, 1.01, 0.4, 2)] == [
        "1 hour", "1 hour", "1.01 hours", "0.4 hours", "2 hours",
    ]  # fmt: skip
    assert counted(1000, "frame") == "1000 frames"
