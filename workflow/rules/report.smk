localrules:
    report,


rule report:
    input:
        ancient(targets.stamps["analyse"]),
    output:
        targets.stamps["report"],
    log:
        "logs/report.log",
    benchmark:
        "logs/report.tsv"
    params:
        scale=targets.scale_option,
    shell:
        "nervelab report {params.scale} --stamp {output} 2> {log}"
