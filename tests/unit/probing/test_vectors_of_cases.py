"""One vector stands for each case, and is the one that the model goes on with; or it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from reclens.errors import InvalidInput
from reclens.probing import ProbeSite
from reclens.sae import AutoencoderConfig, train_autoencoder
from reclens.steering import LatentEdit, Operation
from reclens.steering.engine import steer


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


ITEMS, LENGTHS = torch.tensor([[3, 5, 0, 0], [1, 2, 4, 9]]), torch.tensor([2, 4])


class RightPadded(nn.Module):
    """Reads the state at each row's own length."""

    def __init__(self, *, packs: bool = False) -> None:
        super().__init__()
        self.items, self.norm = nn.Embedding(11, 6, padding_idx=0), nn.LayerNorm(6)
        self.gru = nn.GRU(6, 6, batch_first=True)
        self.packs = packs

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        x = self.items(items)
        if self.packs:
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            x, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True)
        else:
            x, _ = self.gru(x)
        return self.norm(x)[torch.arange(len(items)), lengths - 1]


class ByMask(RightPadded):
    """Is told of padding by a mask, or by nothing but the indices."""

    def forward(self, items: Tensor, mask: Tensor | None = None) -> Tensor:  # type: ignore[override]
        mask = items != 0 if mask is None else mask
        return super().forward(items, mask.sum(1))


class OwnMethod(RightPadded):
    """Asked by a method of its own, so that the model itself is never called."""

    def rank(self, items: Tensor, lengths: Tensor) -> Tensor:
        return self.forward(items, lengths)


class Wrapped(nn.Module):
    """Takes batches of a class of its own, as adapters do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = RightPadded()

    def forward(self, batch: list[Any]) -> Tensor:
        return self.net(*batch[0])


Ask = Callable[[nn.Module], Tensor]
PADDED: list[tuple[nn.Module, Ask, str]] = [
    (RightPadded(), lambda model: model(ITEMS, LENGTHS), "norm"),
    (RightPadded(packs=True), lambda model: model(ITEMS, LENGTHS), "norm"),
    (ByMask(), lambda model: model(ITEMS, ITEMS > 0), "norm"),
    (ByMask(), lambda model: model(ITEMS), "norm"),
    (ByMask(), lambda model: model(items=ITEMS), "norm"),
    (OwnMethod(), lambda model: model.rank(ITEMS, LENGTHS), "norm"),  # type: ignore[operator]
    (Wrapped(), lambda model: model([(ITEMS, LENGTHS)]), "net.norm"),
]


class TestRightPadding:
    @pytest.mark.parametrize(("model", "ask", "name"), PADDED)
    @pytest.mark.parametrize("grad", [True, False])
    def test_reading_or_writing_padding_is_refused(
        self, model: nn.Module, ask: Ask, name: str, *, grad: bool
    ) -> None:
        site, model = ProbeSite(name), model.eval()
        for block in (site.capture(model), site.intervene(model, lambda x: x * 0)):
            with (
                torch.set_grad_enabled(grad),
                pytest.raises(InvalidInput, match="may be padding") as caught,
                block,
            ):
                ask(model)
            assert caught.value.field == "position"
            assert "lengths=" in caught.value.remedy

    @pytest.mark.parametrize(
        ("model", "args", "site"),
        [
            (RightPadded(), (ITEMS, LENGTHS), ProbeSite("norm", lengths="lengths")),
            (RightPadded(packs=True), (ITEMS, LENGTHS), ProbeSite("norm", lengths="lengths")),
            (ByMask(), (ITEMS, ITEMS > 0), ProbeSite("norm", mask="mask")),
            (ByMask(), (ITEMS,), ProbeSite("norm", mask="items")),
            (Wrapped(), ([(ITEMS, LENGTHS)],), ProbeSite("net.norm", lengths="lengths")),
        ],
    )
    def test_a_named_argument_tells_the_position(
        self, model: nn.Module, args: tuple[Any, ...], site: ProbeSite
    ) -> None:
        with site.capture(model) as captured:
            used = model(*args)
        assert torch.equal(captured.tensor, used)
        with site.intervene(model, lambda x: 2 * x):
            assert torch.equal(model(*args), 2 * used)
        with site.intervene(model, lambda x: x.clone()):
            assert torch.equal(model(*args), used)

    def test_values_may_be_given_to_the_block(self) -> None:
        model, site = OwnMethod().eval(), ProbeSite("norm")
        for given in ({"lengths": [2, 4]}, {"mask": ITEMS != 0}):
            with site.capture(model, **given) as captured:
                used = model.rank(ITEMS, LENGTHS)
            assert torch.equal(captured.tensor, used)
            with site.intervene(model, torch.zeros_like, **given):
                assert torch.equal(model.rank(ITEMS, LENGTHS), torch.zeros_like(used))

    def test_what_is_written_in_place_reaches_the_model_too(self) -> None:
        model, site = RightPadded().eval(), ProbeSite("norm", lengths="lengths")
        for mode in (torch.no_grad, torch.inference_mode):
            with mode(), site.intervene(model, lambda x: x.mul_(0)):
                assert not model(ITEMS, LENGTHS).any()

    @pytest.mark.parametrize("lengths", [[0, 4], [2, 5], [2]])
    def test_lengths_of_another_batch_are_refused(self, lengths: list[int]) -> None:
        model = RightPadded()
        with (
            pytest.raises(InvalidInput, match="do not fit"),
            ProbeSite("norm").capture(model, lengths=lengths),
        ):
            model(ITEMS, LENGTHS)

    def test_an_argument_that_nobody_takes_is_refused_with_those_that_are(self) -> None:
        with (
            pytest.raises(InvalidInput, match="'sizes'") as caught,
            ProbeSite("norm", lengths="sizes").capture(RightPadded()),
        ):
            pass
        assert "items, lengths" in caught.value.remedy

    def test_the_padding_mask_of_a_transformer(self) -> None:
        layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
        x, padding = torch.randn(3, 5, 4), torch.zeros(3, 5, dtype=torch.bool)
        padding[0, 3:] = True
        site = ProbeSite("layers.1", padding_mask="src_key_padding_mask")
        with torch.no_grad():
            untouched = model(x, src_key_padding_mask=padding)
            with site.capture(model) as captured, site.intervene(model, lambda v: v):
                y = model(x, src_key_padding_mask=padding)
            assert torch.equal(y, untouched)  # PyTorch's fused layer has bits of its own
            assert torch.equal(captured.tensor, torch.stack([y[0, 2], y[1, 4], y[2, 4]]))
            with (
                pytest.raises(InvalidInput, match="may be padding"),
                ProbeSite("layers.1").capture(model),
            ):
                model(x, src_key_padding_mask=padding)

    def test_histories_padded_on_the_left_or_not_at_all_are_read_as_they_are(self) -> None:
        class Last(RightPadded):
            def forward(self, items: Tensor, mask: Tensor) -> Tensor:
                return self.norm(self.gru(self.items(items))[0])[:, -1] * mask.any()

        model = Last().eval()
        for items in (torch.tensor([[0, 0, 3], [1, 2, 4]]), torch.tensor([[1, 4, 3], [1, 2, 4]])):
            with ProbeSite("norm").capture(model) as captured:
                used = model(items, items != 0)
            assert torch.equal(captured.tensor, used)

    def test_looking_leaves_no_trace_in_other_blocks(self) -> None:
        model, seen = RightPadded().eval(), []
        site, full = ProbeSite("norm"), torch.tensor([4, 3])
        with (
            pytest.raises(InvalidInput),
            site.capture(model) as before,
            site.intervene(model, lambda x: seen.append(len(seen)) or x + 1),
        ):
            model(ITEMS + 1, full)
        assert before.calls == 1


class Recurrent(nn.Module):
    """Scores from an output of a recurrent module that ``read`` picks."""

    def __init__(self, rnn: nn.Module, read: Callable[[Any], Tensor], width: int = 6) -> None:
        super().__init__()
        self.rnn, self.head, self.read = rnn, nn.Linear(width, 5), read

    def forward(self, x: Any) -> Tensor:
        return self.head(self.read(self.rnn(x)))


BATCH_FIRST, STEPS_FIRST = torch.randn(3, 7, 4), torch.randn(7, 3, 4)
PACKED = pack_padded_sequence(
    BATCH_FIRST, torch.tensor([2, 7, 5]), batch_first=True, enforce_sorted=False
)


class TestRecurrentModules:
    @pytest.mark.parametrize(
        ("model", "x", "site"),
        [
            (
                Recurrent(nn.LSTM(4, 6, 2), lambda y: y[1][0][-1]),
                STEPS_FIRST,
                ProbeSite("rnn", output=(1, 0), batch_dim=1),
            ),
            (
                Recurrent(nn.GRU(4, 6, 2, batch_first=True), lambda y: y[1][-1]),
                BATCH_FIRST,
                ProbeSite("rnn", output=1, batch_dim=1),
            ),
            (
                Recurrent(nn.GRU(4, 6), lambda y: y[0][-1]),
                STEPS_FIRST,
                ProbeSite("rnn", output=0, batch_dim=1),
            ),
            (
                Recurrent(
                    nn.GRU(4, 6, batch_first=True),
                    lambda y: pad_packed_sequence(y[0], batch_first=True)[0][
                        torch.arange(3), [1, 6, 4]
                    ],
                ),
                PACKED,
                ProbeSite("rnn", output=0),
            ),
            (Recurrent(nn.LSTMCell(4, 6), lambda y: y[0]), torch.randn(3, 4),
             ProbeSite("rnn", "row", output=0)),
        ],
        ids=["h_n of lstm", "h_n of gru", "sequence first", "packed", "cell"],
    )  # fmt: skip
    def test_each_kind_of_output_is_read_and_written(
        self, model: Recurrent, x: Any, site: ProbeSite
    ) -> None:
        with site.capture(model) as captured:
            scores = model(x)
        assert captured.tensor.shape == (3, 6)
        assert torch.equal(model.head(captured.tensor), scores)
        with site.intervene(model, lambda v: 2 * v):
            edited = model(x)
        assert torch.equal(edited, model.head(2 * captured.tensor))
        with site.intervene(model, lambda v: v.clone()):
            assert torch.equal(model(x), scores)

    @pytest.mark.parametrize(
        ("model", "x", "site", "field"),
        [
            (Recurrent(nn.LSTM(4, 6), lambda y: y[1][0][-1]), STEPS_FIRST,
             ProbeSite("rnn", output=(1, 0)), "batch_dim"),
            (Recurrent(nn.LSTM(4, 6), lambda y: y[0][-1]), STEPS_FIRST,
             ProbeSite("rnn", output=0), "batch_dim"),
            (Recurrent(nn.GRU(4, 6, batch_first=True), lambda y: y[0][:, -1]), BATCH_FIRST,
             ProbeSite("rnn", output=0, batch_dim=1), "batch_dim"),
            (Recurrent(nn.LSTM(4, 6), lambda y: y[1][0][-1]), STEPS_FIRST,
             ProbeSite("rnn", output=1), "output"),
            (Recurrent(nn.GRU(4, 6, batch_first=True), lambda y: y[1][-1]), PACKED,
             ProbeSite("rnn", "row", output=0), "position"),
        ],
    )  # fmt: skip
    def test_what_does_not_fit_is_refused_with_the_option(
        self, model: Recurrent, x: Any, site: ProbeSite, field: str
    ) -> None:
        for block in (site.capture(model), site.intervene(model, lambda v: v * 0)):
            with pytest.raises(InvalidInput) as caught, block:
                model(x)
            assert caught.value.field == field
            assert "[" in str(caught.value)  # the shape that was seen


class StepsFirst(nn.Module):
    """Counts positions first, in a module that does not say so."""

    def __init__(self) -> None:
        super().__init__()
        self.states, self.head = nn.Linear(4, 6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.states(x.transpose(0, 1))[-1])


class TestNumberOfVectors:
    @pytest.mark.parametrize("x", [torch.randn(2, 7, 4), torch.randn(7, 2, 4)])
    def test_another_number_than_of_cases_is_refused(self, x: Tensor) -> None:
        model = StepsFirst()
        if len(x) == 7:  # the model takes [length, batch] then, and answers [batch, ...]
            model.forward = lambda x: model.head(model.states(x)[-1])  # type: ignore[method-assign]
        with (
            pytest.raises(InvalidInput, match="7 vectors") as caught,
            ProbeSite("states").capture(model),
        ):
            model(x)
        assert caught.value.field == "batch_dim"
        with ProbeSite("states", batch_dim=1).capture(model) as captured:
            scores = model(x)
        assert torch.equal(model.head(captured.tensor), scores)

    def test_the_number_may_be_told(self) -> None:
        model, x = nn.Sequential(nn.Flatten(0, 1), nn.Linear(3, 4)), torch.randn(2, 5, 3)
        with (
            pytest.raises(InvalidInput, match="10 vectors for 2 cases"),
            ProbeSite("0", "row").capture(model, cases=2),
        ):
            model(x)
        with ProbeSite("1", "row").capture(model, cases=10) as captured:
            model(x)
        assert captured.tensor.shape == (10, 4)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Linear(3, 4)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return self.tower(user) * self.tower(item)


class TestCalls:
    def test_a_module_called_twice_in_a_pass_is_refused(self) -> None:
        model, x = Twice(), torch.randn(2, 3)
        site = ProbeSite("tower", "row")
        for block in (site.capture(model), site.intervene(model, lambda v: v * 0)):
            with pytest.raises(InvalidInput, match="2 times in one pass") as caught, block:
                model(x, x)
            assert caught.value.field == "call"

    @pytest.mark.parametrize("call", [0, 1])
    def test_one_of_the_calls_can_be_named(self, call: int) -> None:
        model, args = Twice(), (torch.randn(2, 3), torch.randn(2, 3))
        site = ProbeSite("tower", "row", call=call)
        for _ in range(2):
            with site.capture(model) as captured:
                model(*args)
                model(*args)
            assert torch.equal(captured.tensor, model.tower(args[call]))
        with site.intervene(model, torch.ones_like):
            assert torch.equal(model(*args), model.tower(args[1 - call]))

    def test_a_call_that_never_came_is_refused(self) -> None:
        model, x = Twice(), torch.randn(2, 3)
        with (
            pytest.raises(InvalidInput, match="not called 3 times"),
            ProbeSite("tower", "row", call=2).intervene(model, torch.ones_like),
        ):
            model(x, x)

    def test_every_pass_must_come_through_what_is_edited(self) -> None:
        class Sometimes(Twice):
            def forward(self, user: Tensor, item: Tensor) -> Tensor:
                return self.tower(user) if item.any() else user

        model, x = Sometimes(), torch.randn(2, 3)
        with ProbeSite("tower", "row").capture(model) as captured:
            model(x, x)
            model(x, x * 0)
        with pytest.raises(InvalidInput, match="was not called"):
            _ = captured.tensor
        with (
            pytest.raises(InvalidInput, match="was not called"),
            ProbeSite("tower", "row").intervene(model, torch.ones_like),
        ):
            model(x, x * 0)


def mlp(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 20)).to(dtype)


class TestWrappedModules:
    @pytest.mark.parametrize("name", ["1", "module.1"])
    def test_data_parallel(self, name: str) -> None:
        model = nn.DataParallel(mlp())
        with ProbeSite(name, "row").capture(model) as captured:
            scores = model(torch.randn(3, 8))
        assert torch.equal(model.module[2](captured.tensor), scores)

    @pytest.mark.parametrize("way", ["around", "in place", "a part"])
    @pytest.mark.filterwarnings("ignore")
    def test_compiled(self, way: str) -> None:
        plain, x = mlp(), torch.randn(3, 8)
        model: Any = nn.Sequential(plain[:2], plain[2]) if way == "a part" else plain
        untouched = model(x)
        if way == "around":
            model = torch.compile(model, backend="aot_eager")
        elif way == "in place":
            model.compile(backend="aot_eager")
        else:
            model[0] = torch.compile(model[0], backend="aot_eager")
        model(x)  # compiled before it is opened
        site = ProbeSite("0.1" if way == "a part" else "1", "row")
        with site.capture(model) as captured:
            model(x)
        assert torch.equal(captured.tensor, plain[1](plain[0](x)))
        with site.intervene(model, torch.zeros_like):
            assert torch.equal(model(x), plain[2].bias.expand(3, 20))
        with site.intervene(model, lambda v: v):
            assert torch.equal(model(x), untouched)


class TestHalfPrecision:
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_a_half_precision_model_is_decomposed_and_steered(self, dtype: torch.dtype) -> None:
        model, x = mlp(dtype), torch.randn(512, 8, dtype=dtype)
        site = ProbeSite("1", "row")
        with site.capture(model) as captured:
            untouched = model(x)
        assert captured.tensor.dtype == dtype
        config = AutoencoderConfig(n_latents=32, k=4, n_epochs=1)
        sae, report = train_autoencoder(captured.tensor, config)
        as_float, alike = train_autoencoder(captured.tensor.float(), config)
        assert report.fvu == alike.fvu
        assert torch.equal(sae.W_dec, as_float.W_dec)
        with site.intervene(model, lambda v: sae.decode(sae.encode(v))):
            assert model(x).dtype == dtype
        p99 = sae.encode(captured.tensor).dense(32).quantile(0.99, dim=0)
        strongest = int(sae.encode(captured.tensor).indices[0, 0])
        with site.intervene(model, lambda v: steer(v, sae, p99, [])):
            assert torch.equal(model(x), untouched)
        with site.intervene(model, lambda v: v.float()):
            assert torch.equal(model(x), untouched)
        ablate = [LatentEdit.of((strongest,), Operation.ABLATE)]
        with site.intervene(model, lambda v: steer(v, sae, p99, ablate)):
            edited = model(x)
        assert edited.dtype == dtype
        assert not torch.equal(edited[0], untouched[0])

    def test_overflow_is_refused_with_case_and_dimension(self) -> None:
        model = nn.Sequential(nn.Identity(), nn.ReLU()).half()
        x = torch.zeros(3, 4, dtype=torch.float16)
        x[2, 1] = torch.inf
        with ProbeSite("0", "row").capture(model) as captured:
            model(x)
        with pytest.raises(InvalidInput, match=r"case 2: dimension 1 .* inf") as caught:
            _ = captured.tensor
        assert "bfloat16" in caught.value.remedy

    def test_what_overflows_where_it_is_written_back_is_refused(self) -> None:
        model = nn.Sequential(nn.Identity()).half()
        with (
            pytest.raises(InvalidInput, match=r"case 1: dimension 0"),
            ProbeSite("0", "row").intervene(
                model, lambda v: v.float() + torch.tensor([[0.0], [1e5]])
            ),
        ):
            model(torch.zeros(2, 1, dtype=torch.float16))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"batch_dim": 2}, "batch_dim"),
        ({"batch_dim": 1, "position": "row"}, "batch_dim"),
        ({"call": -1}, "call"),
        ({"lengths": "a", "mask": "b"}, "mask"),
        ({"lengths": "a", "position": "all"}, "lengths"),
    ],
)
def test_options_that_do_not_go_together_are_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ProbeSite("norm", **fields)
    assert caught.value.field == field
