"""What a process that reads a stranger's file does before it opens it. Plain Python, no Django."""

import resource
import signal
import sys


def bound(limits: dict[str, int]) -> None:
    """Hard limits, which nothing that runs here can lift again."""
    cpu_s = limits["cpu_s"]
    wanted = {
        resource.RLIMIT_AS: (limits["memory_mb"] * 2**20,) * 2,
        # At the soft limit comes SIGXCPU, which tells what happened; at the hard one plain SIGKILL.
        resource.RLIMIT_CPU: (cpu_s, cpu_s + 2),
        # Up to four bytes a character, and as many again for JSON's escapes.
        resource.RLIMIT_FSIZE: (limits["text_chars"] * 8,) * 2,
        resource.RLIMIT_CORE: (0, 0),
    }
    for name, (soft, hard) in wanted.items():
        highest = resource.getrlimit(name)[1]
        if highest != resource.RLIM_INFINITY:
            soft, hard = min(soft, highest), min(hard, highest)
        try:
            resource.setrlimit(name, (soft, hard))
        except (ValueError, OSError) as error:  # macOS bounds no address space; time and output stay bounded
            sys.stderr.write(f"limit {name}: {error}\n")
    # The parent kills us in time; should it be gone by then, the alarm does.
    signal.alarm(limits["wall_s"] + 10)
