"""What the pocket cluster answers, held against the real control plane: both must pass the same checks."""

import os
import ssl
import sys

from support import Lab, ROOT, test

sys.path.insert(0, os.path.join(ROOT, "tests", "pocket"))

import checks  # noqa: E402


@test(timeout=240)
def the_real_server_passes_what_the_pocket_cluster_passes(t):
    with Lab(start=1) as lab:
        lab.add_node("n1", cpu=4)
        lab.wait_nodes()
        lab.namespace(checks.NAMESPACE)
        lab.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "first", "namespace": checks.NAMESPACE},
                   "spec": checks.gated_spec()})
        lab.restart("kube-apiserver")  # so that it has forgotten the first versions
        server = checks.Server("https://127.0.0.1:%d" % lab.port, lab.client.context, lab.client.token)
        passed = 0
        for check in checks.CHECKS:
            try:
                check(server)
                passed += 1
            except Exception as e:
                t.check(False, "%s: %s: %s" % (check.__name__, type(e).__name__, str(e)[:600]))
        t.figure("checks that the real server passed", "%d of %d" % (passed, len(checks.CHECKS)))
