#include "tests/pocket/stress.h"

#include <criterion/criterion.h>

#include "base/alloc.h"
#include "tests/pocket/scenario.h"

/* A clock that is set by hand. */
static struct mono the_time(void *self)
{
    return *(struct mono *)self;
}

/* An hour ahead of the other. */
static struct wall the_wall(void *self)
{
    return (struct wall){((struct mono *)self)->us + 3600 * US_PER_S};
}

struct stage {
    struct mono now;
    struct world *world;
    struct stress *stress;
};

static struct stage open_stage(int64_t cores)
{
    struct stage stage = {.now = {.us = US_PER_S}};
    struct err err = {0};

    stage.world =
        world_new(&(struct world_config){.seed = 1, .speed = 1, .ring = 4096, .swift = true});
    cr_assert(scenario_fill(
        stage.world, &(struct scenario_fill){.nodes = 1, .cores = cores, .pods = 10, .seed = 1},
        &err));
    return stage;
}

static void begin(struct stage *s, struct stress_config config)
{
    struct err err = {0};

    config.clock = (struct clock){.mono = the_time, .wall = the_wall, .self = &s->now};
    cr_assert(stress_new(s->world, &config, &s->stress, &err), "%s", err.text);
}

static void turn(struct stage *s, int64_t us)
{
    s->now.us += us;
    world_advance(s->world, s->now);
    stress_run(s->stress);
}

static void close_stage(struct stage *s)
{
    stress_free(s->stress);
    world_free(s->world);
}

static void report(struct stage *s, char *text, size_t size)
{
    FILE *f = fmemopen(text, size, "w");

    stress_report(s->stress, f);
    (void)fclose(f);
}

Test(pocket_stress, as_many_pods_go_as_come)
{
    struct stage s = open_stage(64);
    char text[400];

    begin(&s, (struct stress_config){.events_per_s = 600});
    for (int i = 0; i < 100; i++)
        turn(&s, 10 * US_PER_MS);
    cr_assert_leq(store_count(world_store(s.world), KIND_PODS), 10 + 1);
    report(&s, text, sizeof text);
    cr_assert(strstr(text, "\"events\":600,") != NULL, "%s", text);
    close_stage(&s);
}

Test(pocket_stress, a_probe_is_timed_from_the_report_to_the_patch)
{
    static const char path[] = "/apis/apps/v1/namespaces/filler/deployments/miner/scale";
    struct stage s = open_stage(1); /* no room */
    const struct object *probe;
    char text[400];

    begin(&s, (struct stress_config){.probes_per_s = 10, .target = "filler/miner"});
    stress_heard(s.stress, sv_from(path), the_wall(&s.now)); /* nobody waits yet */
    turn(&s, 0);
    turn(&s, 10 * US_PER_MS); /* the scheduler has tried */
    probe = store_find(world_store(s.world), KIND_PODS, SV("stress"), SV("probe-0"));
    cr_assert(probe != NULL);
    stress_told(s.stress, probe);
    s.now.us += 1234;
    stress_told(s.stress, probe); /* to a second watch */

    struct wall arrived = the_wall(&s.now);

    s.now.us += 66; /* the server did something else before it read */
    stress_heard(s.stress, SV("/apis/apps/v1/namespaces/filler/deployments/other/scale"), arrived);
    stress_heard(s.stress, sv_from(path), arrived);
    report(&s, text, sizeof text);
    cr_assert(strstr(text, "\"probes\":1,\"p50_us\":1234,") != NULL, "%s", text);
    cr_assert(strstr(text, "\"read_max_us\":1300,") != NULL, "%s", text);
    close_stage(&s);
}

Test(pocket_stress, a_probe_that_finds_room_is_no_sample)
{
    struct stage s = open_stage(64);
    char text[400];

    begin(&s, (struct stress_config){.probes_per_s = 10, .target = "filler/miner"});
    for (int i = 0; i < 4; i++)
        turn(&s, 10 * US_PER_MS);
    report(&s, text, sizeof text);
    cr_assert(strstr(text, "\"probes\":0,") != NULL && strstr(text, "\"lucky\":1}") != NULL, "%s",
              text);
    close_stage(&s);
}
