"""Calls one tool as a real client does: see client.mjs.

    python client.py KIND URL TOKEN TOOL ARGUMENTS

KIND: modern, modern-url, legacy, legacy-url.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitResult

kind, url, token, tool, args = sys.argv[1:]


def tell(what):
    print(json.dumps(what), flush=True)


async def opened(context, params):
    tell({"asked": getattr(params, "url", None)})
    return ElicitResult(action="accept")


async def main():
    http = httpx2.AsyncClient(headers={"Authorization": "Bearer " + token}, timeout=httpx2.Timeout(30, read=300))
    mode = "2026-07-28" if kind.startswith("modern") else "legacy"
    elicit = opened if kind.endswith("-url") else None
    async with Client(streamable_http_client(url, http_client=http), mode=mode, elicitation_callback=elicit) as client:
        result = await client.call_tool(tool, json.loads(args))
        tell({"result": "".join(getattr(c, "text", "") for c in result.content), "isError": bool(result.is_error)})


asyncio.run(main())
