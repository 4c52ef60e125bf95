"""Reviews of oneself, as the fake API server answers them. Pure.

In: the body of a SelfSubjectAccessReview or SelfSubjectRulesReview, and the switches. Out: the body of the answer.
Source: authorization.k8s.io/v1 of kube-apiserver 1.36, whose answers carry these rules for every account.
"""

from __future__ import annotations

from typing import Any

from tests.fake_api_switches import Switches

PREFIX = "/apis/authorization.k8s.io/v1/"
OF_EVERYBODY = [
    {
        "verbs": ["create"],
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    },
    {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
]


def answer_review(body: dict[str, Any], switches: Switches) -> dict[str, Any]:
    """Fill in the status."""
    if body["kind"] == "SelfSubjectRulesReview":
        rules = [*OF_EVERYBODY, *switches.rules]
        return body | {"status": {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}}
    asked = body["spec"]["resourceAttributes"]
    verb, resource = asked["verb"], asked["resource"]
    denied = {(verb, resource, None), (verb, resource, asked.get("namespace") or None)}
    return body | {"status": {"allowed": not denied & switches.denied}}
