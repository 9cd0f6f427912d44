"""Huizhen (会诊): hospitals answer a medical question together while no patient row leaves its hospital."""
