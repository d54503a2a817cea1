"""Who does the work of a run, when and where.

run          jobs go out, ends come back, rows are written, everybody is told
schedule     what is left to do, in which order, and what became of it
stop         Ctrl-C and SIGTERM
executor     what every executor is
inline       the run's own process does the work
local        worker processes on this machine do it
ray          a Ray cluster does it
workers/     a job, and the process that does it
"""
