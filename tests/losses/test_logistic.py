"""log(1 + e^x), against torch's in double precision."""

import pytest
import torch
import torch.nn.functional as F

from centerx.losses.logistic import softplus

LOGITS = [-3e38, -200.0, -100.0, -20.0, -3.0, -1e-4, 0.0, 1e-4, 3.0, 20.0, 100.0, 200.0, 3e38]


def test_it_is_the_softplus_however_sure_a_network_is() -> None:
    logits = torch.tensor(LOGITS)
    torch.testing.assert_close(softplus(logits), F.softplus(logits.double()).float(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("logit", LOGITS)
def test_its_gradient_is_the_probability(logit: float) -> None:
    leaf = torch.tensor(logit, requires_grad=True)
    (2 * softplus(leaf)).backward()
    assert leaf.grad.item() == pytest.approx(2 * torch.tensor(logit).sigmoid().item(), rel=1e-6)
