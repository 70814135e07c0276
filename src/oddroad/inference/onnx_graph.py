"""Outputs and metadata of an ONNX file, read and chosen without the onnx package, which is no part of the runtime.

An ONNX file is a protocol buffer: a message of numbered fields, of which one is the graph, a message again. ONNX
Runtime computes every output of a graph, also those that nobody fetches; a graph without them is faster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

WEIGHTS, OUTSIDE = 5, 13
"""Fields of a graph and of its weights: a tensor, and where its numbers lie if not in the file."""

GRAPH, METADATA, NODE, OUTPUT, NAME, READS, MAKES, OPERATION, KEY, VALUE = 7, 14, 1, 12, 1, 1, 2, 4, 1, 2
"""Numbers of the fields: graph and metadata of a model, a node and an output of a graph, the name of an output, the
names of the values that a node reads and makes, its operation, key and value of an entry of the metadata."""


FIXED = {1: 8, 5: 4}
"""Bytes of a value of fixed length, by the type of the field."""


def number_at(data: bytes, place: int) -> tuple[int, int]:
    """A number of variable length, seven bits a byte, the lowest first, and the place behind it."""
    value = shift = 0
    while shift < 70:  # ten bytes hold all 64 bits
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place
    raise ValueError("not a protocol buffer: a number of more than 64 bits")


def as_number(value: int) -> bytes:
    """The bytes that ``number_at`` reads.

    >>> number_at(as_number(300), 0)
    (300, 2)
    """
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def as_field(number: int, value: bytes) -> bytes:
    """A field of a message whose value is bytes."""
    return as_number(number << 3 | 2) + as_number(len(value)) + value


def fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Each field of the message between two places: its number, where it begins, where its value begins, its end.

    Raises:
        ValueError: if this is no message.
    """
    place = start
    while place < end:
        try:
            key, value = number_at(data, place)
            kind = key & 7
            if kind == 0:
                stop = number_at(data, value)[1]
            elif kind == 2:
                length, value = number_at(data, value)
                stop = value + length
            else:
                stop = value + FIXED[kind]
        except (IndexError, KeyError):
            raise ValueError("not a protocol buffer") from None
        yield key >> 3, place, value, stop
        place = stop
    if place != end:
        raise ValueError("not a protocol buffer")


def parts(data: bytes, start: int, end: int, wanted: int) -> list[tuple[int, int]]:
    """Where the values of the fields of a number begin and end in the message between two places; these are texts or
    messages: a field of that number with another type is none that readers of the format know.
    """
    found = (each for each in fields(data, start, end) if each[0] == wanted)
    return [(value, stop) for _, begin, value, stop in found if data[begin] & 7 == 2]


def texts(data: bytes, start: int, end: int, wanted: int) -> list[str]:
    """The values of the fields of a number, which are texts, in the message between two places."""
    return [data[value:stop].decode() for value, stop in parts(data, start, end, wanted)]


def text_of(data: bytes, start: int, end: int, wanted: int) -> str:
    """The value of a field of a number, a text that a message has once: where it is there again, the last one, and
    where it is not there, "", as the encoding of Protocol Buffers says.

    >>> text_of(as_field(1, b"a") + as_field(1, b"b"), 0, 6, 1)
    'b'
    """
    return (texts(data, start, end, wanted) or [""])[-1]


def has_data_outside(data: bytes) -> bool:
    """Whether weights of an ONNX file lie in other files, whose places it names.

    Raises:
        ValueError: if it is none.
    """
    graphs = parts(data, 0, len(data), GRAPH)
    tensors = [found for graph in graphs for found in parts(data, *graph, WEIGHTS)]
    return any(parts(data, *tensor, OUTSIDE) for tensor in tensors)


def output_names(data: bytes) -> list[str]:
    """Names of the outputs of an ONNX file.

    Raises:
        ValueError: if it is none.
    """
    graphs = parts(data, 0, len(data), GRAPH)
    if len(graphs) != 1:  # of several, others would read the sum
        raise ValueError(f"a protocol buffer, but with {len(graphs)} graphs and not one")
    return [text_of(data, start, end, NAME) for start, end in parts(data, *graphs[0], OUTPUT)]


def metadata(data: bytes) -> dict[str, str]:
    """The metadata of an ONNX file.

    Raises:
        ValueError: if it is none.
    """
    entries = parts(data, 0, len(data), METADATA)
    return {text_of(data, start, end, KEY): text_of(data, start, end, VALUE) for start, end in entries}


def with_metadata(data: bytes, key: str, value: str) -> bytes:
    """An ONNX file in whose metadata a key has a value, in the place of its old entry or at the end.

    Raises:
        ValueError: if it is none.
    """
    name, text = key.encode(), value.encode()
    inside = b"".join(
        as_number(number << 3 | 2) + as_number(len(each)) + each for number, each in ((KEY, name), (VALUE, text))
    )
    entry = as_number(METADATA << 3 | 2) + as_number(len(inside)) + inside
    found: list[bytes] = []
    placed = False
    for number, begin, start, end in fields(data, 0, len(data)):
        if number == METADATA and text_of(data, start, end, KEY) == key:
            found += [] if placed else [entry]
            placed = True
        else:
            found.append(data[begin:end])
    return b"".join([*found, *([] if placed else [entry])])


def with_outputs(data: bytes, names: Collection[str]) -> bytes:
    """An ONNX file with only those outputs, and only the nodes that they need. Without graphs inside its nodes.

    A name that is no output of the file but a value inside its graph becomes an output; its type is left to the engine.

    Raises:
        ValueError: if it is no ONNX file.
    """
    found: list[bytes] = []
    for number, begin, start, end in fields(data, 0, len(data)):
        if number != GRAPH:
            found.append(data[begin:end])
            continue
        there = {text_of(data, at, to, NAME) for inner, _, at, to in fields(data, start, end) if inner == OUTPUT}
        inside = [as_field(OUTPUT, as_field(NAME, name.encode())) for name in names if name not in there]
        found.append(as_field(GRAPH, b"".join([*needed_fields(data, start, end, set(names)), *inside])))
    return b"".join(found)


def feature_names(data: bytes, output: str) -> list[str]:
    """The values of a graph that the head of an output reads: inputs of the last convolution on each way to it.

    Returns:
        the names, in the order in which the graph computes them; each is (1, D, h, w). None where no convolution leads
        to the output.

    Raises:
        ValueError: if it is no ONNX file.
    """
    found: list[str] = []
    for number, _, start, end in fields(data, 0, len(data)):
        if number == GRAPH:
            needed = {output}
            for inner, _, at, to in reversed(list(fields(data, start, end))):  # nodes stand behind what they read
                if inner != NODE or not needed.intersection(texts(data, at, to, MAKES)):
                    continue
                reads = texts(data, at, to, READS)
                if text_of(data, at, to, OPERATION) == "Conv":
                    found += [each for each in reads[:1] if each not in found]
                else:
                    needed.update(reads)
    return found[::-1]


def needed_fields(data: bytes, start: int, end: int, needed: set[str]) -> list[bytes]:
    """The fields of the graph between two places, but for outputs that are not needed and nodes that serve none.

    Args:
        data: the file.
        start: where the graph begins.
        end: where it ends.
        needed: names of the outputs; grows by the values that lead to them.
    """
    kept: list[bytes] = []
    for number, begin, value, stop in reversed(list(fields(data, start, end))):  # nodes stand behind what they read
        if number == OUTPUT and text_of(data, value, stop, NAME) not in needed:
            continue
        if number == NODE:
            if not needed.intersection(texts(data, value, stop, MAKES)):
                continue
            needed.update(texts(data, value, stop, READS))
        kept.append(data[begin:stop])
    return kept[::-1]
