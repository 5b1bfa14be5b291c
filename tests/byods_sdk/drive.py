"""Calls webex-byods-sdk: a line of JSON in, a line of JSON out, see byods_sdk.rs.

The first line is {"baseUrl": …, "accessTokens": […]}; each later one is [name, arguments…], the
name of a method of the SDK's client or of a function of its own.
"""

import json
import logging
import sys

import webex_byods


class Tokens:
    """The next access token whenever a new one is asked for."""

    def __init__(self, access_tokens):
        self.access_tokens = access_tokens

    def get_access_token(self, force_refresh=False):
        if force_refresh:
            del self.access_tokens[0]
        return self.access_tokens[0]


logging.disable()
start = json.loads(sys.stdin.readline())
client = webex_byods.WebexDataSourceClient(
    token_provider=Tokens(start["accessTokens"]), base_url=start["baseUrl"]
)
for line in sys.stdin:
    name, *arguments = json.loads(line)
    home = client if hasattr(client, name) else webex_byods
    print(json.dumps(getattr(home, name)(*arguments)), flush=True)
