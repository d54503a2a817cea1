"""The conformance suite, which tells whether a component keeps its contract.

On the command line: `nsbench check NAME`; in a test: nsbench.conformance("simulator", "mine").

check               the checks of a component by its name; conformance makes them a test
findings            the findings of checks, and the report of them all
simulator_subject   a simulator under examination
datasets, simulators, likelihoods, metrics, formats
                    the checks of each kind
small_data          data that is made in about a second
known_growth        a growth process whose law is known exactly
coverage            what a component opens, held against its digest
other_process       a component in a process that knows only names and files
sampling            parameters that a fit is said not to read
global_randomness   a watch over the global random generators, and what else components share
"""
