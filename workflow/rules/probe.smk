localrules:
    probed,


rule probed:
    input:
        targets.probe_files,


# One job for all that are missing, which starts torch once. What it has made stays if it is killed.
rule probe:
    input:
        ancient(jobs.input_of([probe.run for probe in targets.to_probe], workflow)),
        ancient(targets.needed_to_probe),
    output:
        update(targets.probe_files),
    log:
        "logs/probe.log",
    benchmark:
        "logs/probe.tsv"
    threads: 8
    resources:
        runtime=jobs.minutes_to_probe,
        mem_mb=jobs.memory_mb_to_probe,
        cpus_per_task=jobs.cpus_to_probe,
        gpu=int(jobs.device != "cpu"),
    params:
        names=[probe.name for probe in targets.to_probe],
        device=jobs.device,
        options=targets.options,
    shell:
        "nervelab probe {params.options} --device {params.device} --gpus {resources.gpu} --threads {threads} {params.names} 2> {log}"
