#include "policy/sim/parts.h"

static void later(struct sim *s, const struct pod *pod, enum happening what, int64_t us)
{
    timeline_add(s, mono_plus_us(s->now, us),
                 (struct timed){.what = what, .id = pod->view.id, .serial = pod->serial});
}

void kubelet_bound(struct sim *s, struct pod *pod)
{
    if (pod->spec->view.start_us == SIM_NEVER)
        return;
    later(s, pod, HAPPEN_RUNNING, sim_jitter(s, pod->spec->view.start_us));
}

/* A pod that was asked to go before it ran is not started. */
void kubelet_running(struct sim *s, struct pod *pod)
{
    const struct sim_pod_spec *spec = &pod->spec->view;

    if (pod->view.deleting)
        return;
    pod->view.phase = PHASE_RUNNING;
    if (spec->run_us > 0)
        later(s, pod, HAPPEN_DONE, spec->run_us);
    if (spec->ready_us > 0) {
        later(s, pod, HAPPEN_READY, spec->ready_us);
        tell_pod(s, SIM_MODIFIED, pod);
        return;
    }
    kubelet_ready(s, pod);
}

void kubelet_ready(struct sim *s, struct pod *pod)
{
    if (pod->view.deleting || pod->view.phase != PHASE_RUNNING)
        return;
    replicas_account(pod, -1);
    pod->view.ready = true;
    pod->view.ready_at = s->now;
    replicas_account(pod, 1);
    if (pod->owner != NULL)
        replicas_arm(s, pod->owner);
    tell_pod(s, SIM_MODIFIED, pod);
}

void kubelet_done(struct sim *s, struct pod *pod)
{
    if (!pod->view.deleting)
        pod_finish(s, pod);
}

void kubelet_stop(struct sim *s, struct pod *pod)
{
    /* What has not started has nothing to stop. */
    int64_t exit_us = pod->view.phase == PHASE_PENDING ? 0 : sim_jitter(s, pod->spec->view.exit_us);

    if (exit_us > pod->view.grace_us)
        exit_us = pod->view.grace_us;

    struct mono at = mono_plus_us(s->now, exit_us);

    /* A second, shorter grace never makes it later. */
    if (pod->exit_at.us != 0 && pod->exit_at.us <= at.us)
        return;
    pod->exit_at = at;
    later(s, pod, HAPPEN_EXIT, exit_us);
}
