localrules:
    plans,


# One job writes every plan before the first training starts: a queued training reads its plan, never params.yaml.
rule plans:
    output:
        update(targets.plan_files),
    log:
        "logs/plans.log",
    benchmark:
        "logs/plans.tsv"
    priority: 100
    params:
        names=[run.name for run in targets.to_train],
        options=targets.options,
    shell:
        "nervelab plan {params.options} {params.names} 2> {log}"


rule train:
    input:
        ancient(jobs.needed),
    output:
        update(expand("runs/{{scale}}/{{name}}/{file}", file=runfiles.RUN_FILES)),
    log:
        "logs/{scale}/{name}.log",
    benchmark:
        "logs/{scale}/{name}.tsv"
    threads: 1
    resources:
        runtime=jobs.minutes,
        mem_mb=jobs.memory_mb,
        cpus_per_task=jobs.cpus,
        gpu=jobs.gpus,
    params:
        plans=jobs.plans,
        options=jobs.options_in(workflow),
    shell:
        "nervelab train {params.plans} --runs runs/{wildcards.scale} --threads {threads} {params.options} 2> {log}"


# Several runs in one job, one after the other: on a cluster, where each job costs as much as a small training.
rule train_together:
    input:
        ancient(jobs.needed),
    output:
        temp(touch("plans/together/{scale}/{ids}.{number}")),
    log:
        "logs/{scale}/together/{ids}.{number}.log",
    benchmark:
        "logs/{scale}/together/{ids}.{number}.tsv"
    threads: 1
    resources:
        runtime=jobs.minutes,
        mem_mb=jobs.memory_mb,
        cpus_per_task=jobs.cpus,
        gpu=jobs.gpus,
    params:
        plans=jobs.plans,
        options=jobs.options_in(workflow),
    shell:
        "nervelab train {params.plans} --runs runs/{wildcards.scale} --threads {threads} {params.options} 2> {log}"


# A target for each study: `snakemake activation` trains its runs. `--config only=activation` renders them alone.
for study, runs in targets.runs_by_study.items():

    rule:
        name:
            study
        input:
            jobs.input_of(runs, workflow),
        localrule: True
