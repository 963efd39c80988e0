"""Pages of other sites, with their visitors' cookies: `CORSMixin`.

What a browser wants to hear before such a page may read a response; see
the Fetch standard, section "HTTP extensions" of CORS. Which pages may
is said once, by `SessionManager(cors_allowed_origins=...)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tornado.web import Finish, RequestHandler

from .errors import ConfigurationError
from .manager import SessionManager
from .settings import manager_of
from .web import SessionMixin

if TYPE_CHECKING:
    _Handler = RequestHandler
else:
    _Handler = object


class CORSMixin(_Handler):
    """Lets pages of the manager's `cors_allowed_origins` use a handler::

        class Note(CORSMixin, SessionMixin, tornado.web.RequestHandler): ...

    Their preflights are answered without a look at the session, and their
    requests pass Tornado's `cross_origin_protection`. A page of any other
    site reads nothing. An override of `set_default_headers()` or
    `prepare()` calls that of `super()` first.

    Attributes:
        cors_headers: the request headers that such a page may set.
        cors_exposed_headers: the response headers that it may read.
        cors_max_age: seconds for which a browser remembers a preflight.
    """

    cors_headers: tuple[str, ...] = ("Content-Type", "X-XSRFToken", "Authorization")
    cors_exposed_headers: tuple[str, ...] = ("Session-Token",)
    cors_max_age: int = 600

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        order = cls.__mro__
        for later in (SessionMixin, RequestHandler):
            if later in order and order.index(later) < order.index(CORSMixin):
                raise ConfigurationError(
                    f"class {cls.__name__}: name CORSMixin before {later.__name__}, as in"
                    f" class {cls.__name__}(CORSMixin, SessionMixin, RequestHandler)"
                )

    def set_default_headers(self) -> None:
        """Name the page's origin if it is a listed one; also on error pages."""
        super().set_default_headers()
        manager = self.settings.get("session_manager")
        if not isinstance(manager, SessionManager) or not manager.origins:
            return  # prepare() says what is wrong
        # Also where no origin is named, or a cache would hand what it kept
        # of such a response to a page that needs to be named.
        self.add_header("Vary", "Origin")
        origin = self.request.headers.get("Origin", "")
        if manager.origins.lists(origin):
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Access-Control-Allow-Credentials", "true")
            self.set_header("Access-Control-Expose-Headers", ", ".join(self.cors_exposed_headers))

    async def prepare(self) -> None:
        """Answer a preflight; everything else goes its way."""
        headers, origins = self.request.headers, manager_of(self.settings).origins
        if self.request.method == "OPTIONS" and "Access-Control-Request-Method" in headers:
            self.set_status(204)
            if origins.lists(headers.get("Origin")):
                self._allow()
            raise Finish  # past the rest of a prepare() that awaits this one
        following = super().prepare()
        if following is not None:
            await following

    def check_trusted_origin(self, origin: str) -> bool:
        """Whether an unsafe request of this origin passes `cross_origin_protection`."""
        listed = manager_of(self.settings).origins.lists(origin)
        return listed or super().check_trusted_origin(origin)

    def _allow(self) -> None:
        methods = (name for name in self.SUPPORTED_METHODS if _implements(type(self), name.lower()))
        self.set_header("Access-Control-Allow-Methods", ", ".join(methods))
        self.set_header("Access-Control-Allow-Headers", ", ".join(self.cors_headers))
        self.set_header("Access-Control-Max-Age", str(self.cors_max_age))


def _implements(handler: type[RequestHandler], method: str) -> bool:
    """Whether a handler class has a method of its own for an HTTP method."""
    nothing = getattr(RequestHandler, method, None)
    return getattr(handler, method, nothing) is not nothing
