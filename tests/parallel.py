"""How `pytest -n` hands out tests to its processes, and how what the sweep counted there comes back.

A process gets whole files, so that what a file's tests share is made once; of a folder in `LONGEST` it gets all, for
its tests share one world or one running stack. Each process has services of its own, see tests/services.py.
"""

from typing import Any

import pytest

from tests.sweep import report

# Handed out before the others, so that no process is left alone with one at the end.
LONGEST = ("tests/sweep", "tests/browser", "tests/tenants/test_leaving.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((path for path in LONGEST if nodeid.startswith(path)), nodeid.partition("::")[0])

        def _assign_work_unit(self, node: Any) -> None:
            for path in reversed(LONGEST):
                if path in self.workqueue:
                    self.workqueue.move_to_end(path, last=False)
            super()._assign_work_unit(node)

    return ByFile(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["sweep"] = report.counted()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    report.add(*getattr(node, "workeroutput", {}).get("sweep", ({}, {})))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    report.write(terminalreporter)
