# The stages from the runs to the page, each made of the one before it: src/nervelab/stages/chain.py says what they are.
before = [jobs.input_of(targets.project.runs, workflow), targets.data_files]
for stage in RENDERINGS:
    if stage.needs:
        before.append(stage.needs.paths(targets.project))

    rule:
        name:
            stage.name
        input:
            [ancient(each) for each in before],
        output:
            targets.stamps[stage.name],
        log:
            f"logs/{stage.name}.log",
        benchmark:
            f"logs/{stage.name}.tsv"
        localrule: True
        params:
            command=f"nervelab {stage.name} {targets.options}",
        shell:
            "{params.command} --stamp {output} 2> {log}"

    before = [targets.stamps[stage.name]]
    if stage.target:

        rule:
            name:
                stage.target
            input:
                targets.stamps[stage.name],
            localrule: True
