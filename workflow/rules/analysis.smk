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
        ancient(targets.run_files),
        ancient(targets.data_files),
    output:
        targets.stamps["index"],
    log:
        "logs/index.log",
    benchmark:
        "logs/index.tsv"
    params:
        scale=targets.scale_option,
    shell:
        "nervelab index {params.scale} --stamp {output} 2> {log}"


rule aggregate:
    input:
        ancient(targets.run_files),
        ancient(targets.stamps["index"]),
    output:
        targets.stamps["aggregate"],
    log:
        "logs/aggregate.log",
    benchmark:
        "logs/aggregate.tsv"
    params:
        scale=targets.scale_option,
    shell:
        "nervelab aggregate {params.scale} --stamp {output} 2> {log}"


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
        scale=targets.scale_option,
    shell:
        "nervelab analyse {params.scale} --stamp {output} 2> {log}"
