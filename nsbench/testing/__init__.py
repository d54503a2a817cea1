"""Does a component keep its contract? `nsbench check NAME`; in a test nsbench.conformance("simulator", "mine").

check               the checks of a component by its name; conformance makes them a test
findings            what a check has to say, and the report of all
simulator_subject   a simulator under examination
datasets, simulators, likelihoods, metrics, formats
                    the checks of each kind
small_data          data that is made in about a second
known_growth        simulators and states whose answers are known
other_process       what a process that knows only names and files makes of a component
global_randomness   whether the process's own generators are touched
"""
