"""A chat of all who are logged in, in both processes.

Nothing is kept: a page shows what it has heard since it was opened.
"""

import time
from typing import Any

from shared import PORT, sio

from tornado_shared_session import authenticated

ROOM = "chat"
LONGEST = 300  # characters
PAUSE = 0.3  # seconds, between two messages of one socket


@sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
@authenticated
async def say(sid: str, text: Any) -> dict[str, str]:
    if not isinstance(text, str) or not (text := text.strip()):
        return {"error": "There is nothing to say"}
    if len(text) > LONGEST:
        return {"error": f"At most {LONGEST} characters"}
    local = sio.local(sid)
    now = time.monotonic()
    if now - local.get("said", -PAUSE) < PAUSE:
        return {"error": "Not so fast"}
    local["said"] = now
    # Who it is by is what the session says, whatever the client claims.
    session = await sio.get_session(sid)
    await sio.emit("said", {"user": session.user_id, "text": text, "port": PORT}, room=ROOM)
    await sio.emit("seen", session.id, room=session.user_room)
    return {}
