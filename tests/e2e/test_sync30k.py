"""The first sync of a large cluster: 30,000 bound pods of two containers on 1,000 nodes, beside curl that receives the same."""

import time

import large_cluster
from large_cluster import NODES, PAGE, PODS
from support import Brim, policy_text, test


@test(timeout=240, alone=True)
def the_first_sync_of_30000_pods_costs_little_more_than_receiving_them(t):
    with t.own_lab(without=large_cluster.QUIET) as lab:
        began = time.monotonic()
        large_cluster.fill(lab)
        t.figure("%d pods and %d nodes written" % (PODS, NODES), "%.1f s" % (time.monotonic() - began))
        urls, size = large_cluster.pages(lab)
        t.figure("the list as protobuf", "%.1f MB, %.0f bytes a pod" % (size / 1e6, size / PODS))
        t.check(6000 <= size / PODS <= 7000, "a pod has %.0f bytes, expected about 6,600" % (size / PODS))
        rounds = []
        for number in range(3):
            paged, paged_wall = large_cluster.curl_list(lab, "paged", urls)
            unpaged, unpaged_wall = large_cluster.curl_list(lab, "unpaged", [large_cluster.whole(lab)])
            agent = Brim(lab, "brim-sync-%d" % number, lab.kubeconfig, t.file(lab, "policy.yaml", policy_text()), ["--dry-run"])
            t.agents.append(agent)
            brim = large_cluster.first_sync(lab, agent)
            rounds.append(brim.cpu / paged)
            t.figure("round %d: curl in pages of %d" % (number + 1, PAGE), "%.3f s of CPU, %.2f s" % (paged, paged_wall))
            t.figure("round %d: curl unpaged" % (number + 1), "%.3f s of CPU, %.2f s" % (unpaged, unpaged_wall))
            t.figure("round %d: brim until /readyz" % (number + 1), "%.3f s of CPU, %.2f s" % (brim.cpu, brim.wall))
            t.figure("round %d: brim's memory" % (number + 1), "VmHWM %.1f MiB, RssAnon %.1f MiB at /readyz, %.1f MiB 2 s later" % (
                brim.memory["VmHWM"] / 2**20, brim.memory["RssAnon"] / 2**20, brim.steady["RssAnon"] / 2**20))
        # A figure beside its budget, not a check: other work on the machine moves it by half.
        t.figure("CPU of brim / CPU of curl in pages, median of 3", "%.2f (budget 1.3)" % sorted(rounds)[1])
        t.check(brim.steady["RssAnon"] <= 32 << 20, "RssAnon is %.1f MiB, expected at most 32" % (brim.steady["RssAnon"] / 2**20))
