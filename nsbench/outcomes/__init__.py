"""The results of a suite, and what may be claimed from them.

file         results.jsonl: rows, appended as trials end
frame        a suite's results as a pandas frame
stored       the finished rows of a suite, and a reader of the artifacts behind them
pairing      scores by independent unit of the test data
statistics   intervals by bootstrap, sign-flip tests, Holm's correction
comparison   two simulators, metric by metric, paired
ties         the simulators that cannot be told from the best
summary      the results of a suite in one table
hardware     the trials whose costs were measured on other hardware than most
"""
