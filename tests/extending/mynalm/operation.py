"""An operation of one's own."""

from nalm.modules.operations import Operation

MEAN = Operation("sum", (0.5, 0.5), lambda operands: (operands[0] + operands[1]) / 2)
