"""What has been made, by the digest of what it was made from.

key           what an artifact is made from, and its digest
manifest      what an artifact says of itself
store         artifacts by key: found, written whole, moved aside
inventory     what lies in a store, and what may go
transfer      artifacts that travel to a store elsewhere
files         files written whole or not at all
locks         locks between processes
workspace     where things lie
environment   where numbers were made: machine, versions, commit
"""
