"""Say whether a history is one that heavyjobs may have: nothing lost, nothing twice. Pure: records in, findings out.

The same rules judge a simulation, a soak with real processes, and a real database (`heavyjobs doctor --history`;
`heavyjobs.store.histories` reads one in bounded memory).
"""

from __future__ import annotations

from heavyjobs.history.judging import examine, judge, lost
from heavyjobs.history.records import Finding, JobHistory, Rule, Witness

__all__ = ["Finding", "JobHistory", "Rule", "Witness", "examine", "judge", "lost"]
