"""The mirror of a run in MLflow. Only commands import it: nothing else needs the folder.

tracker       the listener that has a run mirrored by a thread, and never waits for MLflow
mirror        the mirror of results, one action after another
ledger        the ledger of what has been logged where
record        the record of a trial, gathered from the store: all that the tracker logs
names         names as MLflow takes them
content       the content of an MLflow run: names of metrics, tags and files
runs          runs in MLflow: opened, completed, found, superseded
destination   the destination of runs: the workspace's database or a server, and the suite's experiment there
address       addresses of servers and databases: what may be shown, and which lead to the same server
consent       the user's consent to send results to a server that only a suite names
stranger      a client of such a server: it gets results, and nothing that is the user's
view          the view that MLflow's interface opens: a leaderboard, and charts
server        MLflow's own server on a workspace
door          the door to that server, which asks for a token
relay         the relay of requests to it, and of its answers
browser       the user's browser, opened there
"""
