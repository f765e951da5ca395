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
        ancient(targets.needed_to_train),
    output:
        update(expand("runs/{{scale}}/{{name}}/{file}", file=runfiles.RUN_FILES)),
    log:
        "logs/{scale}/{name}.log",
    benchmark:
        "logs/{scale}/{name}.tsv"
    threads: 1
    resources:
        runtime=2880,
        mem_mb=4000,
        gpu=options.gpus,
    params:
        device=options.device,
        accumulation=options.accumulation,
        seconds=options.checkpoint_seconds,
    shell:
        "nervelab train plans/{wildcards.name}.json --runs runs/{wildcards.scale} --device {params.device} --threads {threads}"
        " --accumulation {params.accumulation} --checkpoint-seconds {params.seconds} 2> {log}"


# A target for each study: `snakemake activation` trains its runs. `--config only=activation` renders them alone.
for study, files in targets.run_files_by_study.items():

    rule:
        name:
            study
        input:
            files,
        localrule: True
