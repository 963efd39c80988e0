"""The servers to be compared: one module for each way to keep a session.

Each function is an async context manager that takes the URL of Redis
and yields an Application. All of them answer alike:

- ``POST /seed/SIZE`` begins a session (``content.seed``) and sets its cookie
- ``GET /read`` answers the counter
- ``POST /write`` adds one to it and answers the new value
- ``GET /plain`` answers the counter of a fresh session, whatever there is
- the Socket.IO event ``read`` does what ``/read`` does, and ``incr``
  what ``/write`` does
"""
