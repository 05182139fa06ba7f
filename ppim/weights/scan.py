"""Is a pickle harmless to run? Looked over step by step, nothing run.

A pickle is a program for a small machine with a stack and a memo. Only the steps that spell out plain data are known
here; what one claims to hold must lie within the file, memo slots must be near, steps and nesting have a limit, and
only plain values may be keys, because tuples and long numbers can be chosen to share one hash. Payloads are stepped
over, not read.
"""
from __future__ import annotations

import pickletools

_MOST_STEPS = 1_000_000  # a model of 1,000 tensors with its optimizer has about 100,000
_MOST_NESTED = 200
_LONGEST_LINE = 4096
_DATA = (
    "NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES "
    "BINBYTES8 BYTEARRAY8 SHORT_BINUNICODE BINUNICODE BINUNICODE8 EMPTY_TUPLE EMPTY_LIST EMPTY_DICT EMPTY_SET GLOBAL"
).split()
_TO_MARK = None
# steps that make one value of so many
_MAKING = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "STACK_GLOBAL": 2, "REDUCE": 2, "NEWOBJ": 2, "BINPERSID": 1}
_MAKING |= dict.fromkeys(("TUPLE", "DICT", "LIST", "FROZENSET"), _TO_MARK)
# steps that put so many values into the one below them
_ADDING = {"APPEND": 1, "SETITEM": 2, "BUILD": 1, **dict.fromkeys(("APPENDS", "SETITEMS", "ADDITEMS"), _TO_MARK)}
_KEYS = {"DICT": 2, "SETITEM": 2, "SETITEMS": 2, "FROZENSET": 1, "ADDITEMS": 1}  # every such value is hashed
_PUTTING = {"BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GETTING = {"BINGET", "LONG_BINGET"}
_STEPS = {
    op.code.encode("latin1"): op
    for op in pickletools.opcodes
    if op.name in {"PROTO", "FRAME", "STOP", "MARK", *_DATA, *_MAKING, *_ADDING, *_PUTTING, *_GETTING}
}


class _Stack:
    """What a pickle has on its stack and in its memo: of every value, how deeply it was nested when it was put there.

    Plain values have depth 0, and so do empty containers.
    """

    def __init__(self):
        self.depths, self.marks, self.memo = [], [], {}

    def push(self, depth: int) -> None:
        if depth > _MOST_NESTED:
            raise ValueError(f"values nested more than {_MOST_NESTED} deep")
        self.depths.append(depth)

    def take(self, count: int | None) -> list[int]:
        """The last `count` values, or all down to the last mark, and the mark."""
        floor = self.marks[-1] if self.marks else 0
        if count is _TO_MARK:
            if not self.marks:
                raise ValueError("damaged (no mark)")
            self.marks.pop()
        elif len(self.depths) - floor < count:
            raise ValueError("damaged (values are missing)")
        else:
            floor = len(self.depths) - count
        taken = self.depths[floor:]
        del self.depths[floor:]
        return taken

    def apply(self, name: str) -> None:
        """A step that makes a value of others or adds them to one."""
        parts = self.take(_MAKING[name] if name in _MAKING else _ADDING[name])
        if name in _KEYS and any(parts[:: _KEYS[name]]):
            raise ValueError("a key or a member of a set that is no plain value")
        below = self.take(1)[0] if name in _ADDING else 0
        self.push(max(below, 1 + max(parts, default=0)))

    def put(self, slot: int, steps: int) -> None:
        if slot > steps or len(self.depths) <= (self.marks[-1] if self.marks else 0):
            raise ValueError(f"damaged (memo slot {slot})")
        self.memo[slot] = self.depths[-1]

    def get(self, slot: int) -> None:
        if slot not in self.memo:
            raise ValueError(f"damaged (memo slot {slot} is empty)")
        self.push(self.memo[slot])


def scan(data, start: int = 0) -> int:
    """Look over the pickle that begins at `start` of `data` (bytes or mmap) without running it.

    Returns:
        The position behind it.
    Raises:
        ValueError: a step that weights do not need, or one that does not fit the file.
    """
    stack, position = _Stack(), start
    for steps in range(_MOST_STEPS):
        op = _STEPS.get(data[position : position + 1])
        if op is None:
            raise ValueError(_unknown_step(data, position))
        name, position = op.name, position + 1
        end = position + _argument_length(op, data, position)
        if end > len(data):
            raise ValueError(f"damaged or cut off (step {name} at byte {position - 1} goes beyond the end)")
        if name in _MAKING or name in _ADDING:
            stack.apply(name)
        elif name in _PUTTING:
            slot = len(stack.memo) if name == "MEMOIZE" else int.from_bytes(data[position:end], "little")
            stack.put(slot, steps)
        elif name in _GETTING:
            stack.get(int.from_bytes(data[position:end], "little"))
        elif name == "MARK":
            stack.marks.append(len(stack.depths))
        elif name == "STOP":
            if len(stack.depths) != 1 or stack.marks:
                raise ValueError("damaged (it ends with other than one value)")
            return end
        elif name == "FRAME":
            if end + int.from_bytes(data[position:end], "little") > len(data):
                raise ValueError("damaged or cut off (a frame goes beyond the end)")
        elif name != "PROTO":
            stack.push(1 if name == "LONG1" and end - position > 9 else 0)
        position = end
    raise ValueError(f"more than {_MOST_STEPS} steps, which weights do not need")


def _unknown_step(data, position: int) -> str:
    if position >= len(data):
        return "damaged or cut off (no end)"
    names = {op.code.encode("latin1"): op.name for op in pickletools.opcodes}
    return f"wanted plain arrays, found a step {names.get(data[position:position + 1], 'unknown')} at byte {position}"


def _argument_length(op, data, position: int) -> int:
    if op.arg is None:
        return 0
    if op.arg.n >= 0:
        return op.arg.n
    if op.arg.n == pickletools.UP_TO_NEWLINE:  # of the known steps only GLOBAL, which has two lines
        first = data.find(b"\n", position, position + _LONGEST_LINE)
        second = data.find(b"\n", first + 1, first + _LONGEST_LINE)
        return len(data) if first < 0 or second < 0 else second + 1 - position
    width = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT8U: 8}.get(op.arg.n, 4)
    return width + int.from_bytes(data[position : position + width], "little")
