"""To import this is to be confined: the first that the process which forks workers imports (`heavyjobs.slots.confinement`)."""

from heavyjobs.slots.confinement import confine_as_told

confine_as_told()
