//! One suite for every kind of module: each case is tried with each sample, in a real host and with
//! real processes.
//!
//! [`samples`] has the table of the samples: what each is, and what it cannot do for which reason. The table of the
//! cases is below: the file of each, its name, and what a sample must be able to do for it. Every pair is a test of its
//! own, `SAMPLE::CASE`. A pair that does not apply says why, and `exceptions.txt` is the list of all of them. What a
//! kind can do beyond this is tested beside the kind's own code.

mod cases;
mod exceptions;
mod found;
mod samples;
mod stage;

/// Makes a test of each pair, and the table [`CASES`] for those that look at all of them.
macro_rules! matrix {
    (samples { $($sample:ident)* } cases $cases:tt) => {
        $( mod $sample { matrix!(@tests $sample $cases); } )*
        /// The names of the samples that are tested.
        const TRIED: &[&str] = &[$(stringify!($sample)),*];
        matrix!(@table $cases);
    };
    (@tests $sample:ident { $($part:ident { $($case:ident($($need:ident),*);)* })* }) => { $($(
        #[test]
        fn $case() {
            crate::try_pair(stringify!($sample), stringify!($case));
        }
    )*)* };
    (@table { $($part:ident { $($case:ident($($need:ident),*);)* })* }) => {
        const CASES: &[Case] = &[$($(
            Case { name: stringify!($case), needs: &[$(samples::Ability::$need),*], run: cases::$part::$case },
        )*)*];
    };
}

/// One case: its name, what a sample must be able to do, and what is done with it.
struct Case {
    name: &'static str,
    needs: &'static [samples::Ability],
    run: fn(&'static samples::Sample),
}

matrix! {
    samples {
        process_over_a_socket
        process_over_stdio
        native_in_rust
        native_in_c
        process_in_python
        process_in_typescript
        wasm_in_rust
        wasm_in_c
        filter_that_lives_on
        filter_for_each_message
        filter_in_jq
        filter_of_whole_messages
        filter_in_shell
        mcp_server
        minimal_process
        minimal_library
        research_log_process
        research_log_library
        word_count_library
        word_count_wasm
    }
    cases {
        lifecycle {
            a_module_that_is_ready_says_what_it_is();
            a_stop_leaves_nothing_and_a_start_begins_anew();
            a_restart_and_a_reload_give_a_new_process_that_answers();
            two_instances_share_the_work();
            the_end_of_the_host_is_the_end_of_all();
        }
        messages {
            a_ping_is_answered_by_an_idle_module_as_often_as_it_comes();
            an_unknown_type_is_answered_with_unknown_type();
            what_only_the_host_may_say_is_refused();
            an_event_does_not_get_in_the_way();
            a_cancel_that_comes_too_late_is_no_fault();
            an_unknown_command_is_answered_with_unknown_command(KnowsItsCommands);
            arguments_of_another_form_are_refused(Wait);
            a_query_and_a_mutation_carry_any_payload(Query);
            a_query_and_a_mutation_are_refused_by_a_module_without_them(NoQuery);
            an_event_is_received_by_those_who_subscribed(Events);
        }
        errors {
            an_error_keeps_its_code_and_its_sentence(Fail);
            an_error_keeps_its_data_and_says_whether_to_try_again(Fail);
            a_code_that_a_module_may_not_use_becomes_its_own(Fail);
            a_sentence_may_have_any_text_and_is_cut_when_it_is_too_long(Fail);
        }
        many {
            each_of_many_callers_gets_each_of_its_answers_once_and_in_order();
            ten_thousand_messages_in_a_row_are_all_answered();
        }
        values {
            texts_of_every_kind_come_back_as_they_were(ExactEcho);
            numbers_at_every_edge_come_back_as_they_were(ExactEcho);
            the_order_and_the_spaces_of_members_come_back_as_they_were(ExactEcho);
            line_ends_between_members_are_no_ends_of_a_message(Echo);
            a_command_without_arguments_is_answered(Echo);
        }
        size {
            payloads_up_to_nearly_a_frame_come_back_whole(Echo);
            deep_payloads_come_back_whole_or_are_refused(Deep);
            an_answer_that_is_too_long_is_an_error(Random);
            a_request_that_is_too_long_is_refused_and_the_module_lives_on();
        }
        calls {
            a_handler_asks_another_module_and_sees_its_answer(Ask);
            a_call_may_lead_to_another_three_deep(Ask);
            a_call_to_itself_ends_with_the_deadline(Ask);
            a_call_that_the_manifest_does_not_grant_is_refused(Ask);
            a_handler_that_asks_a_crashing_module_is_informed(Ask);
            a_handler_may_ask_the_supervisor(Ask);
            a_query_and_a_mutation_to_the_data_store_are_answered(AskQuery);
            an_event_reaches_subscribers_and_followers(Emit);
            an_event_that_the_manifest_does_not_grant_is_not_published(Emit);
        }
        waiting {
            progress_comes_in_order_and_before_the_answer(Progress);
            a_running_request_is_cancelled(Wait);
            a_queued_request_is_cancelled_before_it_begins(Wait, Count);
            a_deadline_is_reported_in_time_and_a_module_that_obeys_lives_on(Wait);
            a_deadline_is_reported_in_time_also_by_a_module_that_does_not_look(Spin);
            a_shutdown_waits_for_what_is_under_way(Wait);
        }
        environment {
            the_key_and_the_deadline_are_known_to_the_handler(Key);
            lines_of_the_log_keep_their_level(Log);
            there_is_a_clock_and_there_is_chance(Time, Random);
            processor_time_beyond_the_limit_ends_the_message(Spin);
            memory_beyond_the_limit_ends_the_message(Grow);
            a_limit_costs_only_its_message_where_the_manifest_says_so(Trap);
        }
        endings {
            a_kill_is_followed_by_a_fresh_process();
            a_kill_amid_many_requests_is_reported_truthfully();
            after_ten_kills_nothing_is_left_behind();
            a_crash_is_reported_truthfully_and_the_next_process_begins_anew(Crash);
            a_panic_is_answered_and_the_next_process_begins_anew(Panic);
            a_panic_is_answered_and_the_process_goes_on_where_the_manifest_says_so(Panic);
            a_trap_costs_only_its_message_where_the_manifest_says_so(Trap);
        }
    }
}

/// Tests one pair, or prints why it does not apply.
fn try_pair(sample: &str, case: &str) {
    let sample = samples::named(sample);
    let case = CASES.iter().find(|known| known.name == case).expect("it was made from the table");
    if let Some(reason) = case.needs.iter().find_map(|need| (sample.cannot)(*need)) {
        println!("not applicable: {reason}");
    } else if let Err(missing) = sample.is_possible_here() {
        exceptions::say(&format!("skipped: {} with {}, because {missing}", case.name, sample.name));
    } else {
        (case.run)(sample);
    }
}
