"""A training spread over processes: whole copies of the model (DDP), or parts of it (FSDP, TP).

All processes stand on one mesh of two dimensions, ("data", "tensor"). Along "data" they take
different shares of every batch; along "tensor" they compute the same share together, each with some
of the attention heads and hidden units. Losses are sums, divided once by the number of trained
positions in all shares, so gradients are added up where torch by itself would average them.

Imported only when there is more than one process: importing torch's parts for it takes a while.
"""

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor.parallel import parallelize_module
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel

from hornbook.divided import is_divided
from hornbook.model.mode import in_mode
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import Batch
from hornbook.training.fresh import form_of, take_room
from hornbook.training.objective import NEXT_TOKEN, Loss
from hornbook.training.parallel import SMALL, Objective, Parallel
from hornbook.training.shards import (
    cuts_of,
    is_cut,
    local_gradient,
    part_of,
    placements_of,
    whole,
    whole_of,
)
from hornbook.training.tensor_cuts import layer_cuts, partly_used

WHOLE_AT_ONCE = 2**28
"""Numbers in the whole matrices that a process gathers at once: 1 GiB of float32."""


def make_mesh(runtime: Runtime, tensor: int) -> DeviceMesh:
    """All processes as a mesh ("data", "tensor"); neighbours work on the same share of a batch."""
    shape = (runtime.world_size // tensor, tensor)
    return init_device_mesh(runtime.device.type, shape, mesh_dim_names=("data", "tensor"))


class Grouped(Parallel):
    """What both ways of spreading a training have in common."""

    def __init__(self, mesh: DeviceMesh) -> None:
        """`mesh` is `make_mesh`'s."""
        self.mesh = mesh
        self.data_rank, self.data_size = mesh.get_local_rank("data"), mesh["data"].size()
        self.rank, self.world_size = distributed.get_rank(), distributed.get_world_size()
        self.is_main = self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """`value` added up over the shares of a batch, the same on every process."""
        total = value.clone()
        distributed.all_reduce(total, group=self.mesh.get_group("data"))
        return total

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process."""
        raised = torch.tensor(int(flag))  # on the CPU: no GPU is waited for
        distributed.all_reduce(raised, distributed.ReduceOp.MAX)
        return bool(raised)

    def of_main(self, value: int) -> int:
        """The main process's value."""
        told = torch.tensor(value)
        distributed.broadcast(told, src=0)
        return int(told)

    def barrier(self) -> None:
        """Wait until every process is here."""
        self.any(False)

    def on_whole(self, function: Callable[[Tensor], Tensor], parts: Tensor, like: Tensor) -> Tensor:
        """Apply a function to whole matrices of which each process holds parts."""
        cuts = cuts_of(like)
        at_once = max(WHOLE_AT_ONCE // like.numel(), self.world_size)
        results = [
            part_of(self._share_work(function, whole_of(some, cuts, ahead=1)), cuts, ahead=1)
            for some in torch.split(parts, at_once)
        ]
        return torch.cat(results)

    def _share_work(self, function: Callable[[Tensor], Tensor], matrices: Tensor) -> Tensor:
        """The function of each matrix (n, rows, columns), some computed by each process."""
        share = -(-matrices.shape[0] // self.world_size)
        own = matrices[self.rank * share :][:share]
        mine = matrices.new_zeros((share, *matrices.shape[1:]))
        if own.shape[0]:
            mine[: own.shape[0]] = function(own)
        pieces = [torch.empty_like(mine) for _ in range(self.world_size)]
        distributed.all_gather(pieces, mine)
        return torch.cat(pieces)[: matrices.shape[0]]


class Replicated(Grouped):
    """Every process has the whole model: torch's DistributedDataParallel."""

    _exchange: DistributedDataParallel | None = None

    def objective(self, model: Transformer, loss: Loss = NEXT_TOKEN) -> Objective:
        """The loss; the gradients of all processes are added up in its backward pass."""
        exchange = DistributedDataParallel(
            _LossSum(model, loss),
            process_group=self.mesh.get_group("data"),
            gradient_as_bucket_view=True,
        )
        # None changes: tables of angles, a frozen base in few bits.
        exchange.broadcast_buffers = False
        exchange.register_comm_hook(self.mesh.get_group("data"), _add_up)
        _sort_buckets(exchange, model)
        self._exchange = exchange
        return exchange

    @contextlib.contextmanager
    def exchanging(self, last: bool) -> Iterator[None]:
        """Around a micro-batch's backward pass: gradients are exchanged in the `last` one only."""
        exchange = None if last else self._exchange
        with exchange.no_sync() if exchange is not None else contextlib.nullcontext():
            yield


class _LossSum(nn.Module):
    """The loss as a module, for DDP to wrap; its parameters are the model's."""

    def __init__(self, model: Transformer, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Batch) -> Tensor:
        """The summed loss, float32 ()."""
        return self.loss(self.model, batch)


def _add_up(
    group: distributed.ProcessGroup,
    bucket: distributed.GradBucket,  # type: ignore[name-defined]
) -> Future[Tensor]:
    """DDP's exchange of some gradients: their sum, where it would by itself take the mean."""
    work = distributed.all_reduce(bucket.buffer(), group=group, async_op=True)
    assert work is not None
    done: Future[Tensor] = work.get_future().then(lambda future: future.value()[0])
    return done


def _sort_buckets(exchange: DistributedDataParallel, model: Transformer) -> None:
    """Have DDP put gradients into the buckets that it will keep.

    It does so after the first backward pass, in the order in which they became ready. Where a
    gradient lies in a bucket decides in which order processes add it up, and so how the sum is
    rounded: with a first pass on nothing, a resumed run's first step is like any other.
    """
    device = next(model.parameters()).device
    nothing = torch.zeros((1, 2), dtype=torch.int64, device=device)
    with in_mode(model):  # so that no random number is drawn for dropout
        exchange(Batch(nothing, nothing, 0)).backward()
    model.zero_grad()


class Divided(Grouped):
    """Every process has a part of the model: FSDP2 along "data", and layers cut along "tensor"."""

    divides = True

    def __init__(self, mesh: DeviceMesh) -> None:
        super().__init__(mesh)
        self._form: Transformer | None = None
        self._partly_used: list[nn.Parameter] = []

    def spread(self, model: Transformer, device: torch.device) -> None:
        """Divide the model's tensors, in place; each block goes to the device by itself."""
        self._form, begins_empty = _form_of(model), form_of(model)
        if self.mesh["tensor"].size() > 1:
            for block in model.blocks:
                parallelize_module(block, self.mesh["tensor"], layer_cuts(block))
        if self.data_size > 1:
            self._shard(model)
        if begins_empty:
            take_room(model, device)
        if self.data_size == 1:
            model.to(device)
        if self.mesh["tensor"].size() > 1:
            self._partly_used = [p for p in partly_used(model) if p.requires_grad]

    def _shard(self, model: Transformer) -> None:
        mesh = self.mesh["data"]
        for block in model.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        # The loss asks for hidden states and applies the head itself; see `objective.loss_sum`.
        register_fsdp_forward_method(model, "hidden")
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)

    def let_go(self, model: Transformer) -> None:
        """Keep this process's parts alone."""
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()

    def gather(self, model: Transformer) -> Transformer:
        """A whole copy of the model in the main process, in its mode; its form in the others.

        One of up to 8 GiB lies on the process's device, a larger one on the CPU.
        """
        assert self._form is not None
        nbytes = sum(parameter.nbytes for parameter in self._form.parameters())
        place = self.mesh.device_type if nbytes <= SMALL else "cpu"
        self.let_go(model)
        gathered: dict[int, nn.Parameter] = {}
        copied = copy.deepcopy(self._form)
        for name, parameter in model.named_parameters(remove_duplicate=False):
            if id(parameter) not in gathered:
                numbers = whole(parameter.detach()).to(place if self.is_main else "meta")
                gathered[id(parameter)] = nn.Parameter(numbers, parameter.requires_grad)
            owner, _, leaf = name.rpartition(".")
            setattr(copied.get_submodule(owner), leaf, gathered[id(parameter)])
        return copied.train(model.training)

    @contextlib.contextmanager
    def exchanging(self, last: bool) -> Iterator[None]:
        """Around a micro-batch's backward pass: gradients are whole after the `last` one.

        FSDP exchanges after each, so that none has to be kept whole.
        """
        yield
        for parameter in self._partly_used if last else ():
            gradient = local_gradient(parameter)
            if gradient is not None:
                distributed.all_reduce(gradient, group=self.mesh.get_group("tensor"))

    def norm(self, parameters: Iterable[Tensor]) -> Tensor:
        """Length of the whole gradient, float32 (): squares added up over the parts."""
        of_kind: dict[tuple[bool, bool], list[Tensor]] = {}
        for parameter in parameters:
            gradient = local_gradient(parameter)
            if gradient is not None:
                of_kind.setdefault(self._divided_along(parameter), []).append(gradient)
        device = self.mesh.device_type
        squares = torch.zeros((2, 2), device=device)  # (along data or not, along tensor or not)
        for (data, tensor), gradients in of_kind.items():
            squares[int(data), int(tensor)] = nn.utils.get_total_norm(gradients).square()
        along_data = squares[1].clone()
        distributed.all_reduce(along_data, group=self.mesh.get_group("data"))
        squares[1] = along_data
        along_tensor = squares[:, 1].clone()
        distributed.all_reduce(along_tensor, group=self.mesh.get_group("tensor"))
        squares[:, 1] = along_tensor
        return squares.sum().sqrt()

    @staticmethod
    def _divided_along(parameter: Tensor) -> tuple[bool, bool]:
        """Whether a parameter is divided along "data", and along "tensor"."""
        if not is_divided(parameter):
            return False, False
        mesh: DeviceMesh = parameter.device_mesh  # type: ignore[attr-defined]
        names = mesh.mesh_dim_names or ()
        cut = {n for n, p in zip(names, placements_of(parameter), strict=True) if is_cut(p)}
        return "data" in cut, "tensor" in cut


def _form_of(model: Transformer) -> Transformer:
    """A copy of the model without its numbers: tensors on the meta device, shared as they were."""
    stand_ins: dict[int, object] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), p.requires_grad)
        for p in model.parameters()
    }
    for block in model.blocks:  # what speeds up training is no part of the form
        stand_ins[id(block.in_training)] = None
    return copy.deepcopy(model, stand_ins)
