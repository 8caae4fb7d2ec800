use super::*;

#[test]
fn useful_minimum_is_what_the_route_usually_takes() {
    let mut bench = Bench::consecutive();
    let check = |bench: &mut Bench, left_ms, useful_min, expected| {
        let deadline = bench.now + Duration::from_millis(left_ms);
        let useful_max = Duration::from_secs(2);
        let offer = Offer { deadline, useful_min, useful_max, ..bench.offer() };
        let attempt = offer.attempt;
        let answer = bench.send(offer).map_err(|refusal| refusal.gate);
        assert_eq!(answer, expected, "{left_ms} ms");
        if answer.is_ok() {
            bench.settle(attempt, status(404));
        }
    };
    let usual = Duration::from_millis(300);
    for _ in 0..99 {
        bench.call(status(200).taking(Duration::from_secs(1)));
        bench.call(status(404).taking(Duration::from_millis(1)));
    }
    check(&mut bench, 400, usual, Ok(false));
    bench.call(status(200).taking(Duration::from_secs(1)));
    check(&mut bench, 900, usual, Err(Gate::Deadline));
    check(&mut bench, 1_200, usual, Ok(false));
    check(&mut bench, 400, Duration::ZERO, Ok(false));
    for _ in 0..2_000 {
        bench.call(status(200).taking(Duration::from_secs(9)));
    }
    check(&mut bench, 1_900, usual, Err(Gate::Deadline));
    check(&mut bench, 2_000, usual, Ok(false));
}
