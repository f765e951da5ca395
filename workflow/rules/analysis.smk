localrules:
    index,
    aggregate,
    analyse,
    aggregated,
    analysed,


rule aggregated:
    input:
        targets.stamps["aggregate"],


rule analysed:
    input:
        targets.stamps["analyse"],


# What was trained, run by run: the file that later stages depend on.
rule index:
    input:
        ancient(jobs.input_of(targets.project.runs, workflow)),
        ancient(targets.data_files),
    output:
        targets.stamps["index"],
    log:
        "logs/index.log",
    benchmark:
        "logs/index.tsv"
    params:
        options=targets.options,
    shell:
        "nervelab index {params.options} --stamp {output} 2> {log}"


rule aggregate:
    input:
        ancient(jobs.input_of(targets.project.runs, workflow)),
        ancient(targets.stamps["index"]),
    output:
        targets.stamps["aggregate"],
    log:
        "logs/aggregate.log",
    benchmark:
        "logs/aggregate.tsv"
    params:
        options=targets.options,
    shell:
        "nervelab aggregate {params.options} --stamp {output} 2> {log}"


rule analyse:
    input:
        ancient(targets.stamps["aggregate"]),
    output:
        targets.stamps["analyse"],
    log:
        "logs/analyse.log",
    benchmark:
        "logs/analyse.tsv"
    params:
        options=targets.options,
    shell:
        "nervelab analyse {params.options} --stamp {output} 2> {log}"
