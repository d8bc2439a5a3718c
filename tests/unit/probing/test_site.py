"""A probe site on models that know nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from reclens.errors import InvalidInput
from reclens.probing import ProbeSite


class LastOfGru(nn.Module):
    """Scores from the last position of a GRU, whose output is a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 4, batch_first=True)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.gru(x)[0][:, -1])


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


class Returns(nn.Module):
    """Returns its input packed by a function."""

    def __init__(self, pack: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.pack = pack

    def forward(self, x: Tensor) -> Any:
        return self.pack(x)


class Around(nn.Module):
    """Calls one inner module and hands its output through."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Any:
        return self.inner(x)


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))


def transformer() -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


class TestCapture:
    def test_reads_the_last_position_of_a_gru(self) -> None:
        model, x = LastOfGru(), torch.randn(2, 7, 3)
        with ProbeSite("gru", output=0).capture(model) as captured:
            scores = model(x)
        assert captured.tensor.shape == (2, 4)
        assert torch.equal(scores, model.head(captured.tensor))

    def test_reads_rows_of_an_mlp_before_a_later_module_overwrites_them(self) -> None:
        model, x = mlp(), torch.randn(2, 3)
        with ProbeSite("0", "row").capture(model) as captured:
            model(x)
        assert torch.equal(captured.tensor, model[0](x))
        assert bool((captured.tensor < 0).any())

    def test_reads_all_positions_of_a_transformer(self) -> None:
        model, x = transformer(), torch.randn(2, 5, 4)
        with ProbeSite("layers.1", "all").capture(model) as captured:
            y = model(x)
        assert torch.equal(captured.tensor, y)

    def test_is_detached(self) -> None:
        model = mlp()
        with ProbeSite("2", "row").capture(model) as captured:
            y = model(torch.randn(2, 3))
        assert y.requires_grad
        assert not captured.tensor.requires_grad

    def test_holds_the_most_recent_of_several_passes(self) -> None:
        model, x = mlp(), torch.randn(2, 3)
        with ProbeSite("2", "row").capture(model) as captured:
            model(torch.randn(4, 3))
            y = model(x)
        assert captured.calls == 2
        assert torch.equal(captured.tensor, y)

    def test_refuses_to_answer_for_a_module_that_was_not_called(self) -> None:
        with ProbeSite("0", "row").capture(mlp()) as captured:
            pass
        with pytest.raises(InvalidInput, match="was not called"):
            _ = captured.tensor


class TestIntervene:
    def test_the_same_vector_sends_the_same_object_on(self) -> None:
        passed: list[Any] = []
        model = LastOfGru()
        x = torch.randn(2, 7, 3)
        untouched = model(x)
        model.gru.register_forward_hook(lambda _m, _a, output: passed.append(output))
        with ProbeSite("gru", output=0).intervene(model, lambda v: v):
            model.gru.register_forward_hook(lambda _m, _a, output: passed.append(output))
            steered = model(x)
        assert passed[0] is passed[1]
        assert torch.equal(steered, untouched)

    def test_changes_only_the_last_position_and_not_the_original(self) -> None:
        layer = transformer().layers[0]
        model, x = Around(layer), torch.randn(2, 5, 4)
        original: list[Any] = []
        layer.register_forward_hook(lambda _m, _a, output: original.append(output))
        with ProbeSite("inner").intervene(model, lambda v: v + 1):
            y = model(x)
        untouched = model(x)
        assert torch.equal(original[0], untouched)
        assert torch.equal(y[:, :-1], untouched[:, :-1])
        assert torch.equal(y[:, -1], untouched[:, -1] + 1)

    def test_rows_and_all_positions_are_replaced_whole(self) -> None:
        x2, x3 = torch.randn(2, 3), torch.randn(2, 5, 3)
        model = Around(nn.Identity())
        with ProbeSite("inner", "row").intervene(model, lambda v: 2 * v):
            assert torch.equal(model(x2), 2 * x2)
        with ProbeSite("inner", "all").intervene(model, lambda v: 2 * v):
            assert torch.equal(model(x3), 2 * x3)

    @pytest.mark.parametrize(
        "pack",
        [
            lambda x: (x * 1, x),
            lambda x: [x * 1, x],
            lambda x: Pair(x * 1, x),
            lambda x: {"first": x * 1, "second": x},
        ],
        ids=["tuple", "list", "namedtuple", "dict"],
    )
    def test_keeps_the_kind_of_container(self, pack: Callable[[Tensor], Any]) -> None:
        model, x = Around(Returns(pack)), torch.randn(2, 3)
        with ProbeSite("inner", "row", output=1).intervene(model, torch.zeros_like):
            output = model(x)
        assert type(output) is type(pack(x))
        first, second = output.values() if isinstance(output, dict) else output
        assert torch.equal(first, x)
        assert torch.equal(second, torch.zeros_like(x))

    def test_gradient_flows_through_the_intervention(self) -> None:
        model = LastOfGru()
        push = torch.zeros(4, requires_grad=True)
        with ProbeSite("gru", output=0).intervene(model, lambda v: v + push):
            model(torch.randn(2, 7, 3)).sum().backward()
        assert push.grad is not None
        assert torch.allclose(push.grad, 2 * model.head.weight.sum(0))

    def test_refuses_a_block_that_never_called_the_module(self) -> None:
        with (
            pytest.raises(InvalidInput, match="was not called"),
            ProbeSite("0", "row").intervene(mlp(), lambda v: v + 1),
        ):
            pass

    @pytest.mark.parametrize("bad", [lambda v: v[:1], lambda _v: None])
    def test_refuses_another_shape(self, bad: Callable[[Tensor], Any]) -> None:
        model = mlp()
        with (
            pytest.raises(InvalidInput, match=r"shape \[2, 4\]"),
            ProbeSite("0", "row").intervene(model, bad),
        ):
            model(torch.randn(2, 3))


class TestNesting:
    def test_each_sees_what_those_around_it_wrote(self) -> None:
        model, x = Around(nn.Identity()), torch.ones(2, 3)
        site = ProbeSite("inner", "row")
        with (
            site.capture(model) as before,
            site.intervene(model, lambda v: v + 1),
            site.intervene(model, lambda v: v * 10),
            site.capture(model) as after,
        ):
            model(x)
        assert torch.equal(before.tensor, x)
        assert torch.equal(after.tensor, 20 * x)

    @pytest.mark.parametrize("verb", ["capture", "intervene"])
    def test_hooks_go_even_when_the_pass_fails(self, verb: str) -> None:
        model = mlp()
        site = ProbeSite("0", "row")
        block = site.capture(model) if verb == "capture" else site.intervene(model, lambda v: v + 1)
        with pytest.raises(ZeroDivisionError), block:
            raise ZeroDivisionError
        assert not model[0]._forward_hooks


class TestErrors:
    def test_an_unknown_module_is_answered_with_the_nearest_names(self) -> None:
        with pytest.raises(InvalidInput, match="self_attn") as caught:
            ProbeSite("layers.0.self_atn").resolve(transformer())
        assert caught.value.field == "module"
        assert "layers.0.self_attn" in caught.value.remedy

    def test_an_unknown_position_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="first"):
            ProbeSite("0", "first")  # pyright: ignore[reportArgumentType]

    @pytest.mark.parametrize(
        ("site", "field"),
        [
            (ProbeSite("0", "last"), "position"),
            (ProbeSite("0", "all"), "position"),
            (ProbeSite("0", "row", output=0), "output"),
        ],
    )
    def test_a_site_that_does_not_fit_the_output_is_refused(
        self, site: ProbeSite, field: str
    ) -> None:
        model = mlp()
        with pytest.raises(InvalidInput) as caught, site.capture(model):
            model(torch.randn(2, 3))
        assert caught.value.field == field

    @pytest.mark.parametrize("output", [None, 2, -3])
    def test_a_place_must_exist_in_a_tuple(self, output: int | None) -> None:
        model = LastOfGru()
        with (
            pytest.raises(InvalidInput) as caught,
            ProbeSite("gru", output=output).capture(model),
        ):
            model(torch.randn(2, 7, 3))
        assert caught.value.field == "output"

    @pytest.mark.parametrize(("pack", "output"), [(lambda x: (x, "no"), 1), (lambda _x: 3, None)])
    def test_what_is_there_must_be_a_tensor(
        self, pack: Callable[[Tensor], Any], output: int | None
    ) -> None:
        model = Around(Returns(pack))
        with (
            pytest.raises(InvalidInput) as caught,
            ProbeSite("inner", "row", output=output).capture(model),
        ):
            model(torch.randn(2, 3))
        assert caught.value.field == "output"
