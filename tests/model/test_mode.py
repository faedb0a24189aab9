import pytest
from torch import nn

from hornbook.model.mode import in_mode


def fail_in(model: nn.Sequential, training: bool) -> None:
    with in_mode(model, training):
        assert model.training is model[0].training is training
        raise ZeroDivisionError


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_the_mode_comes_back_after_an_error_too(before: bool, training: bool) -> None:
    model = nn.Sequential(nn.Dropout(0.5)).train(before)
    with pytest.raises(ZeroDivisionError):
        fail_in(model, training)
    assert model.training is model[0].training is before
