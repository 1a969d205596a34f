"""What the cost model says of workers, on machines and steps made up for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_runs import X, Y, fit, trainer

from gradloom import train
from gradloom.train.advice import Machine, Work, advise

MACHINE = Machine(processors=4, flops=50e9, bandwidth=20e9, message=20e-6)
LONG = Work(operations=50e9, parameters=1e6, optimizer=2e6)  # two seconds of a thread, few weights
SMALL = Work(operations=1e6, parameters=1e5, optimizer=2e5)
WIDE = Work(operations=4e8, parameters=4e8, optimizer=8e8)  # dense layers and a small batch


@pytest.mark.parametrize("threads", [1, 4])
def test_workers_help_where_a_step_is_long_and_the_model_small(threads: int):
    assert advise(LONG, 4, 8, MACHINE, threads).helps


@pytest.mark.parametrize("work", [SMALL, WIDE])
@pytest.mark.parametrize("threads", [1, 4])
def test_they_do_not_where_it_is_short_or_the_gradient_large(work: Work, threads: int):
    assert not advise(work, 4, 8, MACHINE, threads).helps


def test_one_processor_does_not_become_two():
    assert not advise(LONG, 2, 8, replace(MACHINE, processors=1), 1).helps


def test_a_program_of_one_thread_leaves_the_processors_to_workers():
    """2 s of computing: alone, and shared by 4 workers with two chunks each."""
    advice = advise(LONG, 4, 8, MACHINE, 1)
    assert advice.alone == pytest.approx(2, rel=1e-3)
    assert advice.computing == pytest.approx(0.5, rel=2e-2)
    assert advise(LONG, 3, 8, MACHINE, 1).computing == pytest.approx(0.75, rel=2e-2)  # three of eight chunks


def test_slow_messages_turn_the_decision():
    work = Work(operations=2.5e8, parameters=1e4, optimizer=2e4)  # 10 ms of a thread
    assert advise(work, 2, 8, MACHINE, 1).helps
    assert not advise(work, 2, 8, replace(MACHINE, message=3e-3), 1).helps


def test_it_reads():
    assert str(advise(SMALL, 2, 8, replace(MACHINE, message=1e-4), 4)) == (
        "a step takes about 0.083 ms in one process; computing among 2 workers takes 0.49 ms and exchanging 0.1 MB of "
        "gradients 0.5 ms: one process is faster"
    )


def test_a_trainer_is_judged_by_its_own_step():
    how = train.MapReduce(2)
    found = [how.advice(trainer(), (X, Y), size, MACHINE) for size in (8, 16)]
    assert found[0].gradients == found[1].gradients == 4 * (4 * 3 + 3)
    assert not any(advice.helps for advice in found)


def test_fit_warns_unless_told_not_to(recwarn: pytest.WarningsRecorder):
    run = trainer()
    with pytest.warns(RuntimeWarning, match="workers=2 will not help: a step takes .* one process is faster"):
        fit(run, workers=2)
    recwarn.clear()
    fit(run, workers=1)
    fit(run, workers=train.MapReduce(2, advise=False))
    assert not recwarn.list
