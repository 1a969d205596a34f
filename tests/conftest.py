"""Settings of all tests."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import settings

# Programs that the tests compile are kept with pytest's own cache, not in the user's folder.
os.environ.setdefault("GRADLOOM_CACHE", str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "programs"))
# The workers of the suite share the processors: threads that wait for each other would only get into each other's
# way.  What is about threads says how many it wants.
os.environ.setdefault("GRADLOOM_THREADS", "1")
# No test is about time, which is short on a busy machine.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
