"""To import this is to be confined, and to sweep at the end: the first that the process which forks workers imports."""

from heavyjobs.slots.confinement import confine_as_told
from heavyjobs.slots.leaving import sweep_at_exit

confine_as_told()
sweep_at_exit()
