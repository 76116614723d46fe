"""Ratios to a level in units of signal, by hand."""

import torch

from cldm_trainer.networks import SignalUnits

VALUES = torch.tensor([[0.2, 6.0, 0.5, 0.05], [0.3, 8.0, 0.4, 0.0], [0.1, 0.0, 0.6, 0.04]])
DEFINED = torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, 0], [1, 0, 1, 1]])


def test_a_ratio_is_multiplied_by_its_level_which_is_then_left_out() -> None:
    values, defined = SignalUnits((None, 3, None))(VALUES, DEFINED)
    torch.testing.assert_close(values[0], torch.tensor([0.2, 0.3, 0.5]))
    assert defined.tolist() == [[1, 1, 1], [1, 0, 1], [1, 0, 1]]  # undefined with its level, or by itself
    assert values[:, [0, 2]].equal(VALUES[:, [0, 2]])


def test_without_levels_nothing_changes() -> None:
    values, defined = SignalUnits((None,) * 4)(VALUES, DEFINED)
    assert values is VALUES and defined is DEFINED
