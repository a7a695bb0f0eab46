"""What the tests of incoming webhooks share."""
from support import stack

SOURCES, MESSAGES = "/api/v2/webhook-sources", "/api/v2/webhook-messages"


def settled(cms, message_id, *states):
    def look():
        answer = cms.get(f"{MESSAGES}/{message_id}")
        if answer.status_code == 404:
            return None
        data = answer.json()["data"]
        return data if data["status"] in (states or ("done", "ignored", "dead")) else None

    return stack.wait_for(look, 30, f"message {message_id} to be {states or 'settled'}")


def post_mapping(**action):
    return {"fields": [{"to": "title", "from": "/title"}, {"to": "slug", "from": "/slug"},
                       {"to": "status", "from": "=draft"}],
            "actions": [{"do": "upsert", "entity": "post", "key": "slug", **action}]}
