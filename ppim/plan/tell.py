"""How is a plan told? As lines, or a table on a terminal; beside it what others have published."""
from __future__ import annotations

from collections.abc import Iterator

from ppim.plan.estimate import Job, Plan
from ppim.plan.gpus import published

WARNING = ("arithmetic, unmeasured: no figure here comes from a GPU; expect practice below it, see the published "
           "rates. The log of a run says what it really did")
Row = tuple[str, str, str]  # what, how much, how it was found


def rows(job: Job, plan: Plan) -> list[Row]:
    """What a plan says, in the order in which it is told."""
    return [*_work(job, plan), *_time(job, plan), *_memory(job, plan), *_host(job, plan), *_run(job, plan)]


def _work(job: Job, plan: Plan) -> Iterator[Row]:
    yield ("job", f"{job.gpus} x {job.gpu.title}", f"{job.config.MODEL.NAME}, {plan.precision}, {plan.batch} images a "
           f"GPU, {plan.global_batch} a step; peaks: {job.gpu.source}")
    teacher = f" + 2 x {plan.teacher_giga_macs:.2f} of the teacher" if plan.teacher_giga_macs else ""
    yield ("FLOP of an image", f"{plan.training_gflop:.1f} G", f"6 x {plan.giga_macs:.2f} GMAC{teacher}")
    yield ("FLOP of a step", f"{plan.step_tflop_of_gpu:.2f} T", "a GPU's products, counted from the traced program"
           + (", recompute included" if plan.recompute else ""))
    yield ("bytes of a step", f"{plan.moved_gb_of_gpu:.1f} GB", "a GPU's memory traffic: every operand and result once")
    yield ("operators of a step", f"{sum(plan.operators.values())}",
           ", ".join(f"{name} {count}" for name, count in plan.operators.items() if count))


def _time(job: Job, plan: Plan) -> Iterator[Row]:
    assumed = job.assumed
    yield ("launching them", f"{1e3 * plan.launch_seconds:.1f} ms", f"at {assumed.launch_us:g} us each (--launch-us)")
    yield ("the GPU's work", f"{1e3 * plan.gpu_seconds:.1f} ms",
           f"roofline, operator by operator, at {assumed.peak_share:.0%} of peak (--peak-share) and "
           f"{assumed.bandwidth_share:.0%} of bandwidth (--bandwidth-share)")
    beyond = f", {assumed.network_gbs:g} GB/s between machines (--network)" if job.gpus > assumed.per_node else ""
    yield ("all-reduce", f"{1e3 * plan.all_reduce_seconds:.2f} ms", f"ring over {job.gpu.link}, {job.gpu.link_gbs:g} "
           f"GB/s{beyond}; {assumed.overlap:.0%} of it hidden (--overlap)")
    yield ("step", f"{1e3 * plan.step_seconds:.1f} ms", f"bound by {plan.bound}")
    yield ("images per second", f"{plan.images_per_second:,.0f}", f"{plan.images_per_second / job.gpus:,.0f} a GPU, "
           f"{plan.share_of_peak:.1%} of the peak of its products")


def _memory(job: Job, plan: Plan) -> Iterator[Row]:
    state = ", ".join(f"{name} {size:.2f}" for name, size in plan.state_gb.items() if size)
    fits = "fits" if plan.fits else "DOES NOT FIT"
    yield ("memory of a GPU", f"{plan.memory_gb:.1f} GB", f"{fits} into {job.gpu.memory_gb:g}: activations "
           f"{plan.activations_gb:.2f}, {state}")
    yield ("largest batch", f"{plan.largest_batch}", "images a GPU")
    word = "without" if plan.recompute else "with"
    yield (f"{word} recompute", f"{plan.other_memory_gb:.1f} GB", f"largest batch {plan.other_largest_batch} "
           "(TRAIN.RECOMPUTE)")


def _host(job: Job, plan: Plan) -> Iterator[Row]:
    need = plan.loader
    yield ("loader, cores", f"{need['cores']:.0f}", f"a machine, at {job.rate.per_core:.0f} images per second and "
           f"core ({job.rate.source}); the recipe starts {need['workers']:.0f} workers")
    yield ("loader, disk", f"{need['disk_mb_per_second']:,.0f} MB/s", f"a machine, at "
           f"{job.rate.file_bytes / 1e3:.0f} kB a photo")
    yield ("loader, memory", f"{need['prefetched_gb']:.2f} GB", f"a machine, batches of {need['batch_mb']:.1f} MB "
           "under way, in memory without a name, not in /dev/shm")


def _run(job: Job, plan: Plan) -> Iterator[Row]:
    yield ("whole recipe", f"{plan.hours:.1f} h", f"{plan.steps:,} steps over {job.images:,} images, "
           f"{plan.evaluation_hours:.1f} h of evaluations in it")
    yield ("GPU-hours", f"{plan.gpu_hours:,.0f}", f"{job.gpus} GPUs")


def others() -> list[Row]:
    """Published rates of comparable models, each with the share of peak that it comes to."""
    return [(f"{row.model}, {row.gpus} x {row.gpu}", f"{row.rate:,.0f} images/s",
             f"{row.share_of_peak:.1%} of peak; {row.how} [{row.source}]") for row in published()]


def as_record(job: Job, plan: Plan) -> dict[str, object]:
    """All of it for programs."""
    return {"note": WARNING, "gpus": job.gpus, "gpu": job.gpu._asdict(), "assumed": job.assumed._asdict(),
            "loader_rate": job.rate._asdict(), "plan": plan.as_dict(),
            "published": [{**row._asdict(), "share_of_peak": row.share_of_peak} for row in published()
                          if job.config.TASK == "classify"]}
