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
        options=targets.options,
    shell:
        "nervelab report {params.options} --stamp {output} 2> {log}"
